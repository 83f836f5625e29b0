package plan

import (
	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/site"
)

// maker makes one plan. It is made anew before each step that is done, so everything is looked up by its name.
type maker struct {
	site   *site.Site
	actual Actual
	allow  Allow
	plan   Plan

	volume  map[string]*api.Volume  // that there are, but for those that are going
	domain  map[string]*api.Domain  // that there are
	wanted  map[string]*site.Volume // that the site has
	defined map[string]bool         // domains that the site has
	apart   map[string][]string     // whom each volume that there is is apart from: that holds both ways
	exports map[string]string       // with which domain the exports of a volume are planned, which several may use
}

func newMaker(s *site.Site, a Actual, allow Allow) *maker {
	m := &maker{site: s, actual: a, allow: allow,
		plan:   Plan{Cluster: s.Cluster.Name, Steps: []Step{}, Conflicts: []Conflict{}, Others: []Other{}},
		volume: make(map[string]*api.Volume), domain: make(map[string]*api.Domain),
		wanted: make(map[string]*site.Volume), defined: make(map[string]bool), apart: make(map[string][]string),
		exports: make(map[string]string),
	}
	for i := range a.Volumes {
		v := &a.Volumes[i]
		if v.State != stateDeleting {
			m.volume[v.Name] = v
		}
		for _, other := range v.Apart {
			m.apart[v.Name], m.apart[other] = append(m.apart[v.Name], other), append(m.apart[other], v.Name)
		}
	}
	for i := range a.Domains {
		m.domain[a.Domains[i].Name] = &a.Domains[i]
	}
	for _, g := range s.Guests {
		for i := range g.Volumes {
			m.wanted[g.Volumes[i].Name] = &g.Volumes[i]
		}
		m.defined[g.Name] = g.Definition != nil
	}
	return m
}

// stateDeleting is the state of a volume that is going: its name is another's by then.
const stateDeleting = "deleting"

func (m *maker) add(s Step) { m.plan.Steps = append(m.plan.Steps, s) }

func (m *maker) other(object, note string) {
	m.plan.Others = append(m.plan.Others, Other{Object: object, Note: note})
}
