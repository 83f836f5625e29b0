package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/site"
)

// Actual is what there is, as the API tells it.
type Actual struct {
	Cluster api.Cluster
	Nodes   []api.Node
	Volumes []api.Volume
	Domains []api.Domain
	Images  []api.Image     // of a site that has some
	Files   map[string]bool // which files of the site's images are at hand
}

// revisionBytes is how much of the sum of a plan names it: nobody looks for two plans of one sum.
const revisionBytes = 6

// Make returns what has to be done. It is refused when the cluster is not the site's, and when a volume is to be
// deleted that the site has.
func Make(s *site.Site, a Actual, allow Allow) (Plan, error) {
	if a.Cluster.Name != s.Cluster.Name {
		return Plan{}, fmt.Errorf("the site is of cluster %s, and the API that answers is cluster %s's: set "+
			"HOLDFAST_API or --api to the right one", s.Cluster.Name, a.Cluster.Name)
	}
	m := newMaker(s, a, allow)
	for _, name := range allow.DeleteVolumes {
		if m.wanted[name] != nil {
			return Plan{}, fmt.Errorf("volume %s is to be deleted, and is in the site: take it out of its guest.yaml "+
				"first", name)
		}
	}
	m.cluster()
	m.nodes()
	m.images()
	m.deleteDomains()
	m.volumes()
	m.domains()
	m.exportsByHand()
	m.deleteVolumes()
	return m.plan, m.name()
}

// name gives the plan its revision: what is to be done, to what, and what was found there.
func (m *maker) name() error {
	text, err := json.Marshal([]any{m.plan.Cluster, m.plan.Steps, m.plan.Conflicts})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	m.plan.Revision = hex.EncodeToString(sum[:revisionBytes])
	return nil
}

// cluster plans the settings that every node shares.
func (m *maker) cluster() {
	c, now := m.site.Cluster, m.actual.Cluster
	if c.OverProvision != now.OverProvision {
		m.add(Step{Kind: SetCluster, Object: "cluster", Request: Request{
			Cluster: &api.SetCluster{OverProvision: &c.OverProvision}},
			Changes: []Change{{"over_provision", percent(now.OverProvision), percent(c.OverProvision)}}})
	}
	m.replaceAfter(Step{Object: "cluster"}, c.ReplaceAfter, now.ReplaceAfter)
}

func percent(n int) string { return fmt.Sprintf("%d %%", n) }

// replaceAfter plans a time after which legs are replaced; s says of what. A cluster of a release that does not tell of
// it is left alone.
func (m *maker) replaceAfter(s Step, want site.After, now api.ReplaceAfter) {
	if now.From == "" {
		return
	}
	var is site.After
	kind, name, _ := strings.Cut(s.Object, "/")
	if now.From == kind {
		is = site.After{Never: now.Never, Time: time.Duration(now.Seconds * float64(time.Second))}
	}
	if want == is {
		return
	}
	s.Kind, s.Changes = SetReplaceAfter, []Change{{"replace_after", after(is), after(want)}}
	s.Request.ReplaceAfter = &api.SetReplaceAfter{Volume: name, Seconds: want.Time.Seconds(), Never: want.Never}
	m.add(s)
}

func after(a site.After) string {
	switch {
	case a.Never:
		return "never"
	case a.Time == 0:
		return "default"
	}
	return a.Time.String()
}

// differ adds a change if two texts are not the same.
func differ(changes []Change, field, from, to string) []Change {
	if from == to {
		return changes
	}
	return append(changes, Change{field, from, to})
}

// list prints names as a set.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return strings.Join(slices.Compact(sorted), ", ")
}
