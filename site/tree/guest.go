package tree

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/domain/definition"
	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/strictyaml"
	"github.com/holdfast-storage/holdfast/volume"
)

// guestFile is vservers/NAME/guest.yaml.
type guestFile struct {
	State   string       `yaml:"state"`
	Volumes []volumeFile `yaml:"volumes"`
}

// guest reads what a guest is to be, and its volumes.
func (r *reader) guest(name string, shared clusterFile) {
	dir := path.Join(dirGuests, name)
	file := path.Join(dir, fileGuest)
	r.known(dir, []string{fileGuest}, dirFiles)
	var f guestFile
	if !r.fill(file, &f) {
		return
	}
	g := site.Guest{Name: name, State: cmp.Or(site.State(f.State), site.Running)}
	if states := []site.State{site.Running, site.Stopped, site.AsItIs}; !slices.Contains(states, g.State) {
		r.place(file, guest.Faultf("state", "%q: want %s, %s or %s", f.State, site.Running, site.Stopped, site.AsItIs))
	}
	r.stated[name] = f.State != ""
	for i, v := range f.Volumes {
		read, err := shared.Volumes.over(v).volume(fmt.Sprintf("volumes[%d]", i))
		if err != nil {
			r.place(file, err)
			continue
		}
		g.Volumes = append(g.Volumes, read)
	}
	r.site.Guests = append(r.site.Guests, g)
}

// domUs reads the definitions of the guests whose home is a server.
func (r *reader) domUs(server string) {
	dir := path.Join(dirServers, server, dirDomUs)
	for _, name := range r.entries(dir) {
		file := path.Join(dir, name)
		stem, isYAML := strings.CutSuffix(name, extension)
		if !isYAML || r.isDir(file) {
			r.fault(file, "it is unknown: here may be the definition of each guest, as in web1%s", extension)
			continue
		}
		text, err := fs.ReadFile(r.root, file)
		if err != nil {
			r.fault(file, "%v", plain(err))
			continue
		}
		d, err := definition.Parse(r.path(file), text)
		if err != nil {
			r.faults = append(r.faults, err)
			continue
		}
		if r.tops[file], err = strictyaml.Read(r.path(file), text); err != nil {
			r.faults = append(r.faults, err)
			continue
		}
		if d.Name != stem {
			r.place(file, guest.Faultf("name", "the file is that of domain %s, the definition that of %s: "+
				"give both one name", stem, d.Name))
			continue
		}
		r.settle(server, file, d)
	}
}

// settle gives a guest its definition and its home.
func (r *reader) settle(server, file string, d definition.Definition) {
	i := slices.IndexFunc(r.site.Guests, func(g site.Guest) bool { return g.Name == d.Name })
	if i < 0 {
		r.place(file, guest.Faultf("name", "there is no %s: it says what guest %s is to be, and its volumes",
			path.Join(dirGuests, d.Name, fileGuest), d.Name))
		return
	}
	g := &r.site.Guests[i]
	switch {
	case g.Definition != nil:
		r.place(file, guest.Faultf("name", "domain %s is defined in %s already: it has one home", d.Name,
			domUFile(g.Home, d.Name)))
	case len(d.Hosts) == 0:
		r.place(file, guest.Faultf("", "domain %s names no hosts: begin with its home, and name those that take it "+
			"when its home is dead, as in hosts: [%s, …]", d.Name, server))
	case d.Hosts[0] != server:
		r.place(file, guest.Faultf("hosts[0]", "the home of domain %s is %s, where its file stands: name that first, "+
			"or move the file", d.Name, server))
	default:
		g.Home, g.Definition = server, &d
	}
}

// domUFile returns the path of a guest's definition.
func domUFile(server, name string) string {
	return path.Join(dirServers, server, dirDomUs, name+extension)
}

// volumeFile is one volume in guest.yaml.
type volumeFile struct {
	Name          string       `yaml:"name"`
	Size          string       `yaml:"size"`
	Layout        string       `yaml:"layout"`
	Durability    string       `yaml:"durability"`
	UnflushedLoss string       `yaml:"unflushed_loss"`
	Spread        string       `yaml:"spread"`
	ApartFrom     []string     `yaml:"apart_from"`
	LegsOn        []string     `yaml:"legs_on"`
	ScrubEvery    string       `yaml:"scrub_every"`
	ReplaceAfter  string       `yaml:"replace_after"`
	Limit         limitFile    `yaml:"limit"`
	Exports       []exportFile `yaml:"exports"`
}

type limitFile struct {
	IOPS      int64  `yaml:"iops"`
	Bandwidth string `yaml:"bandwidth"`
	Burst     string `yaml:"burst"`
}

type exportFile struct {
	Kind    string `yaml:"kind"`
	Address string `yaml:"address"`
	Open    bool   `yaml:"open"`
}

// over completes a volume with the defaults.
func (d volumeDefaults) over(v volumeFile) volumeFile {
	v.Layout = cmp.Or(v.Layout, d.Layout, volume.Mirror(2).String())
	v.Durability = cmp.Or(v.Durability, d.Durability)
	v.UnflushedLoss = cmp.Or(v.UnflushedLoss, d.UnflushedLoss)
	v.Spread = cmp.Or(v.Spread, d.Spread)
	v.ScrubEvery = cmp.Or(v.ScrubEvery, d.ScrubEvery, "720h")
	return v
}
