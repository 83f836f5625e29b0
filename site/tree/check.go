package tree

import (
	"fmt"
	"path"
	"slices"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/volume"
)

// check records what files say that others contradict.
func (r *reader) check() {
	owner := make(map[string]string)
	for _, g := range r.site.Guests {
		for i, v := range g.Volumes {
			if other, taken := owner[v.Name]; taken {
				r.place(guestPath(g.Name), guest.Faultf(fmt.Sprintf("volumes[%d].name", i),
					"%s has a volume %s already", guestPath(other), v.Name))
			}
			owner[v.Name] = g.Name
		}
	}
	var exports []taken
	for _, g := range r.site.Guests {
		for i, v := range g.Volumes {
			r.checkPlaces(g, i, owner)
			exports = r.checkExports(g, i, v, exports)
		}
		if g.Definition != nil {
			r.checkDefinition(g, owner)
		} else if r.stated[g.Name] {
			r.place(guestPath(g.Name), guest.Faultf("state", "guest %s has no definition, so nothing of it can be %s: "+
				"give it one, in %s, or leave its state out", g.Name, g.State, domUFile("SERVER", g.Name)))
		}
	}
}

// guestPath returns the path of a guest's file.
func guestPath(name string) string { return path.Join(dirGuests, name, fileGuest) }

// serverOf returns the server of a name, nil if there is none.
func (r *reader) serverOf(name string) *site.Server {
	i := slices.IndexFunc(r.site.Servers, func(s site.Server) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &r.site.Servers[i]
}

// noServer says that a server is missing which has to play a role; nil if it is there and does.
func (r *reader) noServer(field, name, role string) error {
	switch s := r.serverOf(name); {
	case s == nil:
		return guest.Faultf(field, "there is no %s", path.Join(dirServers, name, fileNode))
	case !slices.Contains(s.Machine.Roles, role):
		return guest.Faultf(field, "server %s has not the role %s", name, role)
	}
	return nil
}

// checkPlaces looks at what a volume says of where its legs are to be.
func (r *reader) checkPlaces(g site.Guest, i int, owner map[string]string) {
	v := g.Volumes[i]
	for k, name := range v.LegsOn {
		if err := r.noServer(fmt.Sprintf("volumes[%d].legs_on[%d]", i, k), name, roleStorage); err != nil {
			r.place(guestPath(g.Name), err)
		}
	}
	for k, name := range v.ApartFrom {
		field := fmt.Sprintf("volumes[%d].apart_from[%d]", i, k)
		switch _, known := owner[name]; {
		case name == v.Name:
			r.place(guestPath(g.Name), guest.Faultf(field, "volume %s cannot be apart from itself", name))
		case !known:
			r.place(guestPath(g.Name), guest.Faultf(field, "there is no volume %s in %s", name, dirGuests))
		}
	}
}

// taken is an address that an export has.
type taken struct {
	volume  string
	setting volume.ExportSetting
}

// checkExports refuses exports of which one host could not have both: any two volumes may come to one host.
func (r *reader) checkExports(g site.Guest, i int, v site.Volume, others []taken) []taken {
	for k, x := range v.Exports {
		if x.Address == "" {
			continue
		}
		mine := taken{v.Name, volume.ExportSetting{Kind: x.Kind, Address: x.Address}}
		for _, o := range others {
			if mine.setting.CollidesWith(o.setting) {
				r.place(guestPath(g.Name), guest.Faultf(fmt.Sprintf("volumes[%d].exports[%d].address", i, k),
					"the export %s of volume %s is at %s already: choose another port", o.setting.Kind, o.volume,
					o.setting.Address))
			}
		}
		others = append(others, mine)
	}
	return others
}

// checkDefinition looks for what a definition names.
func (r *reader) checkDefinition(g site.Guest, owner map[string]string) {
	file := domUFile(g.Home, g.Name)
	for i, use := range g.Definition.Volumes {
		if _, known := owner[use.Name]; !known {
			r.place(file, guest.Faultf(fmt.Sprintf("volumes[%d].name", i), "there is no volume %s: it belongs into %s",
				use.Name, guestPath(g.Name)))
		}
	}
	for i, name := range g.Definition.Hosts {
		if err := r.noServer(fmt.Sprintf("hosts[%d]", i), name, roleHost); err != nil {
			r.place(file, err)
		}
	}
}
