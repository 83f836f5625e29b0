package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/site"
)

// domains plans the guests, one after the other, so that none is down for longer than it has to be.
func (m *maker) domains() {
	guests := slices.DeleteFunc(slices.Clone(m.site.Guests), func(g site.Guest) bool { return g.Definition == nil })
	slices.SortStableFunc(guests, func(a, b site.Guest) int {
		return cmp.Compare(a.Definition.Policy.StartOrder, b.Definition.Policy.StartOrder)
	})
	m.shareExports(guests)
	for _, g := range guests {
		m.guest(g)
	}
}

// shareExports says with which guest the exports of each volume are planned: once, also of one that several guests use.
// The guest that runs with it has to be stopped for them; if none does, it is the first.
func (m *maker) shareExports(guests []site.Guest) {
	for _, g := range guests {
		now := m.domain[g.Name]
		for _, use := range g.Definition.Volumes {
			runs := now != nil && now.Host != "" && uses(now.Spec, use.Name)
			if _, has := m.exports[use.Name]; runs || !has {
				m.exports[use.Name] = g.Name
			}
		}
	}
}

// guest plans one guest: it is stopped if something of it can only be changed then.
func (m *maker) guest(g site.Guest) {
	object, now := "domain/"+g.Name, m.domain[g.Name]
	spec := site.SpecOf(*g.Definition)
	var changed []Step
	for _, use := range g.Definition.Volumes {
		if v := m.wanted[use.Name]; v != nil && m.exports[v.Name] == g.Name {
			changed = append(changed, m.setExports(*v, m.volume[v.Name])...)
		}
	}
	running := now != nil && now.Host != ""
	if !running {
		for _, s := range changed {
			_, name, _ := strings.Cut(s.Object, "/")
			m.addDetached([]Step{s}, m.volume[name])
		}
		changed = nil
	}
	if now == nil {
		changed = append(changed, Step{Kind: DefineDomain, Object: object, Note: "driver " + spec.Driver + ", hosts " +
			strings.Join(spec.Hosts, ", "), Request: Request{Domain: &spec}})
	} else if changes := differences(now.Spec, pinnedAs(now.Spec, spec)); len(changes) > 0 {
		changed = append(changed, Step{Kind: RedefineDomain, Object: object, Changes: changes,
			Request: Request{Domain: &spec}})
	}
	held, runs := "", g.State == site.Running
	switch away := running && runs && m.mayGoHome(g, *now); {
	case running && g.State == site.AsItIs:
		// Once it is stopped nobody knows that it is to run again.
		held = fmt.Sprintf("`holdfast domain stop %s`: the guest runs on %s", g.Name, now.Host)
	case running && (!runs || len(changed) > 0 || away):
		if runs && !m.mayRestart(g.Name) {
			held = fmt.Sprintf("--restart %s: the guest runs on %s", g.Name, now.Host)
		}
		m.add(Step{Kind: StopDomain, Object: object, Held: held, Note: why(runs, away, g.Home),
			Loses: fmt.Sprintf("the guest on %s is ended, as by its power button", now.Host)})
		running = false
	}
	for _, s := range changed {
		s.Held = held
		m.add(s)
	}
	if runs && !running {
		m.add(Step{Kind: StartDomain, Object: object, Held: held, Note: "its home is " + g.Home})
	}
}

// pinnedAs returns a definition in which an image without a version is the one that the domain is pinned to: that is
// what such a definition means for a domain that there is.
func pinnedAs(now, spec api.DomainSpec) api.DomainSpec {
	spec.Machine, _ = spec.ReplaceImages(func(_ string, wanted guest.Image) (string, error) {
		for _, pinned := range now.Images() {
			if wanted.Version == 0 && pinned.Name == wanted.Name {
				wanted = pinned
			}
		}
		return wanted.File(), nil
	})
	return spec
}

// why says why a guest is stopped.
func why(runs, away bool, home string) string {
	switch {
	case !runs:
		return "it shall be stopped"
	case away:
		return "to go home to " + home
	}
	return "to be changed"
}

func (m *maker) mayRestart(name string) bool {
	return m.allow.RestartAll || slices.Contains(m.allow.Restart, name)
}

// mayGoHome reports whether a guest runs elsewhere while its home would take it. A home with another member of its
// anti-affinity group would not: it would be started elsewhere again.
func (m *maker) mayGoHome(g site.Guest, now api.Domain) bool {
	if now.Host == g.Home {
		return false
	}
	for _, d := range m.actual.Domains {
		group := g.Definition.AntiAffinity
		if group != "" && d.Name != g.Name && d.Host == g.Home && d.Spec.AntiAffinity == group {
			return false
		}
	}
	return slices.ContainsFunc(m.actual.Nodes, func(n api.Node) bool {
		return n.Name == g.Home && n.State == api.NodeUp
	})
}

// deleteDomains plans the end of domains of which the site says nothing. Their volumes stay.
func (m *maker) deleteDomains() {
	for _, d := range m.actual.Domains {
		if m.defined[d.Name] {
			continue
		}
		if !m.allow.Prune {
			m.other("domain/"+d.Name, d.State+"; --prune deletes its definition")
			continue
		}
		s := Step{Kind: DeleteDomain, Object: "domain/" + d.Name, Loses: "its definition; its volumes stay"}
		if d.Host != "" {
			s.Held = fmt.Sprintf("`holdfast domain stop %s`: the guest runs on %s", d.Name, d.Host)
		}
		m.add(s)
	}
}

// differences names the fields in which two definitions differ.
func differences(from, to api.DomainSpec) []Change {
	if reflect.DeepEqual(from, to) {
		return nil // most are, and this is asked often
	}
	is, want := fieldsOf(from), fieldsOf(to)
	names := make(map[string]bool)
	for name := range is {
		names[name] = true
	}
	for name := range want {
		names[name] = true
	}
	var changes []Change
	for _, name := range slices.Sorted(maps.Keys(names)) {
		changes = differ(changes, name, named(is[name]), named(want[name]))
	}
	return changes
}

// fieldsOf returns the fields of a definition that say something, each in one form.
func fieldsOf(s api.DomainSpec) map[string]string {
	s.Machine = s.Machine.Clone()
	text, err := json.Marshal(s)
	if err != nil {
		return map[string]string{"settings": err.Error()} // settings that are no JSON are different from all others
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return map[string]string{"settings": err.Error()}
	}
	out := make(map[string]string)
	for name, value := range fields {
		text, err := json.Marshal(value) // the fields of an object in their order, no spaces
		if empty := string(text); err == nil && empty != "null" && empty != "[]" && empty != "{}" {
			out[name] = empty
		}
	}
	return out
}
