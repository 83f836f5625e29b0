package plan

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain/definition"
	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/volume"
)

// example returns a site and a cluster that is as it says.
func example() (*site.Site, Actual) {
	s := &site.Site{
		Cluster: site.Cluster{Name: "prod", OverProvision: 100},
		Servers: []site.Server{{Name: "n1", Zone: "a"}, {Name: "n2"}},
		Guests: []site.Guest{{Name: "web1", State: site.Running, Home: "n1",
			Definition: &definition.Definition{Name: "web1", Driver: "exec", Hosts: []string{"n1", "n2"},
				Volumes: []guest.Volume{{Name: "web1"}}, Settings: []byte(`{"command":["x"]}`)},
			Volumes: []site.Volume{{Name: "web1", SizeBytes: 1 << 30, Layout: volume.Mirror(2),
				Durability: volume.DurabilityFlush, UnflushedLoss: volume.LossWait, ScrubEvery: time.Hour}}}},
	}
	a := Actual{
		Cluster: api.Cluster{Name: "prod", OverProvision: 100, ReplaceAfter: api.ReplaceAfter{From: "default"}},
		Nodes: []api.Node{{ID: "id1", Name: "n1", State: api.NodeUp, Zone: "a"},
			{ID: "id2", Name: "n2", State: api.NodeUp}},
		Volumes: []api.Volume{{ID: "v1", Name: "web1", SizeBytes: 1 << 30, Layout: "mirror=2", Durability: "flush",
			UnflushedLoss: "wait", ScrubEverySeconds: 3600, State: "attached", Limit: api.Limit{BurstSeconds: 1},
			ReplaceAfter: api.ReplaceAfter{Seconds: 600, From: "default"}, Attachment: &api.Attachment{Host: "n1"}}},
		Domains: []api.Domain{{Name: "web1", State: "running", Host: "n1", Spec: site.SpecOf(*s.Guests[0].Definition)}},
	}
	return s, a
}

func made(t *testing.T, s *site.Site, a Actual, allow Allow) Plan {
	t.Helper()
	p, err := Make(s, a, allow)
	require.NoError(t, err)
	return p
}

// steps prints a plan in short.
func steps(p Plan) []string {
	out := []string{}
	for _, s := range p.Steps {
		line := fmt.Sprintf("%s %s", s.Kind, s.Object)
		for _, c := range s.Changes {
			line += fmt.Sprintf(" [%s: %s -> %s]", c.Field, c.From, c.To)
		}
		if s.Held != "" {
			line += " held"
		}
		out = append(out, line)
	}
	return out
}

func TestMake_nothingToDo(t *testing.T) {
	s, a := example()
	p := made(t, s, a, Allow{})
	require.Empty(t, p.Steps)
	require.Empty(t, p.Conflicts)
	require.Empty(t, p.Others)
	require.NotNil(t, p.Steps, "JSON has an empty list")
}

func TestMake_anotherCluster(t *testing.T) {
	s, a := example()
	a.Cluster.Name = "other"
	_, err := Make(s, a, Allow{})
	require.ErrorContains(t, err, "the site is of cluster prod, and the API that answers is cluster other's")
}

// row is a difference and what is planned for it.
type row struct {
	name  string
	make  func(*site.Site, *Actual)
	allow Allow
	want  []string
}

func rows() []row {
	web1 := func(s *site.Site) *site.Guest { return &s.Guests[0] }
	vol := func(s *site.Site) *site.Volume { return &s.Guests[0].Volumes[0] }
	stopped := func(a *Actual) { a.Domains[0].Host, a.Domains[0].State, a.Volumes[0].Attachment = "", "stopped", nil }
	restart := Allow{Restart: []string{"web1"}}
	return []row{
		{"a cluster with nothing in it", func(_ *site.Site, a *Actual) { a.Volumes, a.Domains = nil, nil }, Allow{},
			[]string{"create_volume volume/web1", "define_domain domain/web1", "start_domain domain/web1"}},
		{"over-provisioning", func(s *site.Site, _ *Actual) { s.Cluster.OverProvision = 150 }, Allow{},
			[]string{"set_cluster cluster [over_provision: 100 % -> 150 %]"}},
		{"the cluster's time", func(s *site.Site, _ *Actual) { s.Cluster.ReplaceAfter.Never = true }, Allow{},
			[]string{"set_replace_after cluster [replace_after: default -> never]"}},
		{"a volume's time that is no longer wanted", func(_ *site.Site, a *Actual) {
			a.Volumes[0].ReplaceAfter = api.ReplaceAfter{Seconds: 60, From: "volume"}
		}, Allow{}, []string{"set_replace_after volume/web1 [replace_after: 1m0s -> default]"}},
		{"the same time, of the cluster", func(_ *site.Site, a *Actual) {
			a.Volumes[0].ReplaceAfter = api.ReplaceAfter{Seconds: 60, From: "cluster"}
		}, Allow{}, []string{}},
		{"a release that tells of no time", func(s *site.Site, a *Actual) {
			s.Cluster.ReplaceAfter.Never, a.Cluster.ReplaceAfter = true, api.ReplaceAfter{}
		}, Allow{}, []string{}},
		{"a location", func(s *site.Site, _ *Actual) { s.Servers[0].Zone, s.Servers[1].Rack = "", "r1" }, Allow{},
			[]string{"set_node node/n1 [zone: a -> none]", "set_node node/n2 [rack: none -> r1]"}},
		{"a server that is no node", func(_ *site.Site, a *Actual) { a.Nodes = a.Nodes[:1] }, Allow{},
			[]string{"join_node node/n2 held"}},
		{"a role", func(s *site.Site, a *Actual) {
			s.Servers[0].Machine.Roles, a.Nodes[0].Roles = []string{"host", "storage"}, []string{"storage", "host"}
			s.Servers[1].Machine.Roles, a.Nodes[1].Roles = []string{"host"}, []string{"storage", "host"}
		}, Allow{}, []string{"configure_node node/n2 [roles: host, storage -> host] held"}},
		{"a machine that was installed anew", func(_ *site.Site, a *Actual) {
			a.Nodes[1].State = api.NodeDown
			a.Nodes = append(a.Nodes, api.Node{ID: "id3", Name: "n2", State: api.NodePending, PID: 7})
		}, Allow{}, []string{"replace_node node/n2"}},
		{"one that does not run yet", func(_ *site.Site, a *Actual) {
			a.Nodes[1].State = api.NodeDown
			a.Nodes = append(a.Nodes, api.Node{ID: "id3", Name: "n2", State: api.NodePending})
		}, Allow{}, []string{"replace_node node/n2 held"}},
		{"one whose former machine answers", func(_ *site.Site, a *Actual) {
			a.Nodes = append(a.Nodes, api.Node{ID: "id3", Name: "n2", State: api.NodePending})
		}, Allow{}, []string{"replace_node node/n2 held"}},
		{"one that takes its place already", func(_ *site.Site, a *Actual) {
			a.Nodes[1].State = api.NodeRetiring
			a.Nodes = append(a.Nodes, api.Node{ID: "id3", Name: "n2", State: api.NodeUp})
		}, Allow{}, []string{}},
		{"images that are not there, of which one is at hand", func(s *site.Site, a *Actual) {
			s.Images = []site.Image{{Name: "debian", Version: 4, Digest: "d4"},
				{Name: "debian", Version: 3, Digest: "d3", File: "/f"}, {Name: "debian", Version: 2, Digest: "d2"}}
			a.Images = []api.Image{{Name: "debian", Versions: []api.ImageVersion{{Version: 2, Digest: "d2"}}}}
			a.Files = map[string]bool{"/f": true}
		}, Allow{}, []string{"add_image image/debian@3", "add_image image/debian@4 held"}},
		{"a limit", func(s *site.Site, _ *Actual) { vol(s).Limit.IOPS = 500 }, Allow{},
			[]string{"set_limit volume/web1 [limit: none -> 500 requests a second, burst 1s]"}},
		{"a schedule", func(s *site.Site, _ *Actual) { vol(s).ScrubEvery = 0 }, Allow{},
			[]string{"set_scrub_every volume/web1 [scrub_every: 1h0m0s -> never]"}},
		{"an export of a guest that runs", func(s *site.Site, _ *Actual) {
			vol(s).Exports = []site.Export{{Kind: volume.ExportISCSI}}
		}, Allow{}, []string{"stop_domain domain/web1 held",
			"set_export volume/web1 [export iscsi: none -> an address of the cluster's choice] held",
			"start_domain domain/web1 held"}},
		{"the same, allowed", func(s *site.Site, _ *Actual) {
			vol(s).Exports = []site.Export{{Kind: volume.ExportISCSI}}
		}, restart, []string{"stop_domain domain/web1",
			"set_export volume/web1 [export iscsi: none -> an address of the cluster's choice]",
			"start_domain domain/web1"}},
		{"exports that are as they are to be", func(s *site.Site, a *Actual) {
			vol(s).Exports = []site.Export{{Kind: volume.ExportISCSI},
				{Kind: volume.ExportNBDTLS, Address: "10.0.0.1:10809"}}
			a.Volumes[0].Exports = []api.ExportSetting{{Kind: "iscsi", Address: "127.0.0.1:13260", User: "web1"},
				{Kind: "nbd-tls", Address: "10.0.0.1:10809"}}
		}, Allow{}, []string{}},
		{"exports that are not", func(s *site.Site, a *Actual) {
			stopped(a)
			web1(s).State = site.Stopped
			vol(s).Exports = []site.Export{{Kind: volume.ExportISCSI, Open: true}}
			a.Volumes[0].Exports = []api.ExportSetting{{Kind: "iscsi", Address: "127.0.0.1:13260", User: "web1"},
				{Kind: "nbd-tls", Address: "10.0.0.1:10809"}}
		}, Allow{}, []string{"set_export volume/web1 [export nbd-tls: 10.0.0.1:10809 -> none]",
			"set_export volume/web1 [export iscsi: 127.0.0.1:13260 -> an address of the cluster's choice, open]"}},
		{"an export of a volume that is attached by hand", func(s *site.Site, a *Actual) {
			web1(s).Definition, web1(s).Home, a.Domains = nil, "", nil
			vol(s).Exports = []site.Export{{Kind: volume.ExportISCSI, Address: "127.0.0.1:3261"}}
		}, Allow{}, []string{"set_export volume/web1 [export iscsi: none -> 127.0.0.1:3261] held"}},
		{"an export of a volume that two domains use", func(s *site.Site, a *Actual) {
			sharedWithAStandby(s, a)
			vol(s).Exports = []site.Export{{Kind: volume.ExportISCSI}}
		}, restart, []string{"stop_domain domain/web1",
			"set_export volume/web1 [export iscsi: none -> an address of the cluster's choice]",
			"start_domain domain/web1"}},
		{"the same, and none of them runs", func(s *site.Site, a *Actual) {
			sharedWithAStandby(s, a)
			stopped(a)
			web1(s).State = site.Stopped
			vol(s).Exports = []site.Export{{Kind: volume.ExportISCSI}}
		}, Allow{}, []string{"set_export volume/web1 [export iscsi: none -> an address of the cluster's choice]"}},
		{"a node that leaves", func(s *site.Site, a *Actual) {
			a.Nodes[1].State, s.Servers[1].Zone, s.Servers[1].Machine.Roles = api.NodeRetiring, "b", []string{"host"}
		}, Allow{}, []string{}},
		{"a machine that waits until it has left", func(s *site.Site, a *Actual) {
			a.Nodes[1].State, s.Servers[1].Zone = api.NodeRetiring, "b"
			a.Nodes = append(a.Nodes, api.Node{ID: "id3", Name: "n2", State: api.NodePending, PID: 7})
		}, Allow{}, []string{}},
		{"a machine that waits for nobody", func(s *site.Site, a *Actual) {
			a.Nodes[1].State, s.Servers[1].Zone = api.NodePending, "b"
		}, Allow{}, []string{}},
		{"a node that leaves and is no server", func(s *site.Site, a *Actual) {
			a.Nodes[1].State, s.Servers = api.NodeRetiring, s.Servers[:1]
		}, Allow{}, []string{}},
		{"a definition of a guest that runs", func(s *site.Site, _ *Actual) {
			web1(s).Definition.Policy.StopSeconds = 30
		}, Allow{Restart: []string{"web2"}}, []string{"stop_domain domain/web1 held",
			"redefine_domain domain/web1 [stop_seconds: none -> 30] held", "start_domain domain/web1 held"}},
		{"the same, allowed for all", func(s *site.Site, _ *Actual) {
			web1(s).Definition.Policy.StopSeconds = 30
		}, Allow{RestartAll: true}, []string{"stop_domain domain/web1",
			"redefine_domain domain/web1 [stop_seconds: none -> 30]", "start_domain domain/web1"}},
		{"the same of one that is stopped", func(s *site.Site, a *Actual) {
			stopped(a)
			web1(s).State, web1(s).Definition.AntiAffinity = site.AsItIs, "web"
		}, Allow{}, []string{`redefine_domain domain/web1 [anti_affinity: none -> "web"]`}},
		{"the same of one that runs and is left alone", func(s *site.Site, _ *Actual) {
			web1(s).State, web1(s).Definition.AntiAffinity = site.AsItIs, "web"
		}, restart, []string{`redefine_domain domain/web1 [anti_affinity: none -> "web"] held`}},
		{"a guest that is to be stopped", func(s *site.Site, _ *Actual) { web1(s).State = site.Stopped }, Allow{},
			[]string{"stop_domain domain/web1"}},
		{"a guest that is to run", func(_ *site.Site, a *Actual) { stopped(a) }, Allow{},
			[]string{"start_domain domain/web1"}},
		{"a guest away from home", func(_ *site.Site, a *Actual) { a.Domains[0].Host = "n2" }, restart,
			[]string{"stop_domain domain/web1", "start_domain domain/web1"}},
		{"a guest away from a home that is down", func(_ *site.Site, a *Actual) {
			a.Domains[0].Host, a.Nodes[0].State = "n2", api.NodeDown
		}, restart, []string{}},
		{"a guest away from a home with another of its group", func(s *site.Site, a *Actual) {
			web1(s).Definition.AntiAffinity = "web"
			a.Domains[0].Spec, a.Domains[0].Host = site.SpecOf(*web1(s).Definition), "n2"
			a.Domains = append(a.Domains, api.Domain{Name: "web2", Host: "n1",
				Spec: api.DomainSpec{AntiAffinity: "web"}})
		}, restart, []string{}},
		{"domains that the site has not", func(_ *site.Site, a *Actual) {
			a.Domains = append(a.Domains, api.Domain{Name: "old1"}, api.Domain{Name: "old2", Host: "n1"})
		}, Allow{Prune: true}, []string{"delete_domain domain/old1", "delete_domain domain/old2 held"}},
		{"volumes that the site has not", func(_ *site.Site, a *Actual) {
			a.Volumes = append(a.Volumes, api.Volume{ID: "v2", Name: "old1"}, api.Volume{ID: "v3", Name: "old2"},
				api.Volume{ID: "v4", Name: "old3", Attachment: &api.Attachment{Host: "n1"}},
				api.Volume{ID: "v5", Name: "old4"}, api.Volume{ID: "v6", Name: "old5", State: "deleting"})
			a.Domains = append(a.Domains, api.Domain{Name: "u", Spec: api.DomainSpec{
				Volumes: []api.DomainVolume{{Name: "old1"}}}}, api.Domain{Name: "r", Host: "n1",
				Spec: api.DomainSpec{Volumes: []api.DomainVolume{{Name: "old4"}}}})
		}, Allow{Prune: true, DeleteVolumes: []string{"old1", "old3", "old4", "old5", "gone"}},
			[]string{"delete_domain domain/u", "delete_domain domain/r held", "delete_volume volume/old1",
				"delete_volume volume/old3 held", "delete_volume volume/old4 held"}},
		{"a volume that its guest is to have no more", func(s *site.Site, a *Actual) {
			s.Guests[0].Definition.Volumes, s.Guests[0].Volumes = nil, nil
		}, Allow{Restart: []string{"web1"}, Prune: true, DeleteVolumes: []string{"web1"}},
			[]string{"stop_domain domain/web1", `redefine_domain domain/web1 [volumes: [{"name":"web1"}] -> none]`,
				"start_domain domain/web1", "delete_volume volume/web1"}},
	}
}

// sharedWithAStandby adds a guest that is stopped, comes first, and uses the volume of the other.
func sharedWithAStandby(s *site.Site, a *Actual) {
	standby := *s.Guests[0].Definition
	standby.Name, standby.Policy.StartOrder = "standby", -1
	s.Guests = append(s.Guests, site.Guest{Name: "standby", State: site.Stopped, Home: "n1", Definition: &standby})
	a.Domains = append(a.Domains, api.Domain{Name: "standby", State: "stopped", Spec: site.SpecOf(standby)})
}

func TestMake_rows(t *testing.T) {
	planned := make(map[Kind]bool)
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			s, a := example()
			r.make(s, &a)
			p := made(t, s, a, r.allow)
			require.Equal(t, r.want, steps(p))
			require.Empty(t, p.Conflicts)
			for _, step := range p.Steps {
				planned[step.Kind] = true
			}
		})
	}
	for _, k := range Kinds() {
		require.True(t, planned[k], "no row plans %s", k)
	}
	require.Len(t, planned, len(Kinds()), "a kind is planned that Kinds does not have")
}

// Without leave nothing is planned that destroys, and what there is more than the site has is named.
func TestMake_withoutPrune(t *testing.T) {
	s, a := example()
	a.Nodes = append(a.Nodes, api.Node{Name: "n3"})
	a.Volumes = append(a.Volumes, api.Volume{ID: "v2", Name: "old1", SizeBytes: 1 << 30})
	a.Domains = append(a.Domains, api.Domain{Name: "old2", State: "stopped"})
	for _, allow := range []Allow{{}, {Prune: true}, {DeleteVolumes: []string{"old1"}}} {
		p := made(t, s, a, allow)
		for _, step := range p.Steps {
			require.Equal(t, DeleteDomain, step.Kind)
			require.True(t, allow.Prune)
		}
		require.Contains(t, p.Others, Other{"volume/old1",
			"1 GiB; --prune --delete-volume old1 deletes it with all its data"})
		require.Contains(t, p.Others, Other{"node/n3", "`holdfast node remove n3` moves its legs away and forgets it"})
	}
}

// A node that comes or goes is no step: it is said what it waits for.
func TestMake_nodesThatComeAndGo(t *testing.T) {
	waits := "it leaves the cluster; `holdfast why node/n2` says what it waits for"
	for name, x := range map[string]struct {
		states []api.NodeState
		server bool
		want   []Other
	}{
		"leaves": {[]api.NodeState{api.NodeRetiring}, true,
			[]Other{{"node/n2", waits + ", and `holdfast node undrain n2` ends a removal"}}},
		"leaves, and is no server": {[]api.NodeState{api.NodeRetiring}, false, []Other{{"node/n2", waits}}},
		"leaves, and another waits": {[]api.NodeState{api.NodePending, api.NodeRetiring}, true,
			[]Other{{"node/n2", waits + "; the machine that waits for its name has it then"}}},
		"waits": {[]api.NodeState{api.NodePending}, true,
			[]Other{{"node/n2", "it waits for its name, which another node had a moment ago"}}},
		"has taken its place": {[]api.NodeState{api.NodeRetiring, api.NodeUp}, true, []Other{}},
	} {
		s, a := example()
		a.Nodes = a.Nodes[:1]
		for i, state := range x.states {
			a.Nodes = append(a.Nodes, api.Node{ID: fmt.Sprint("id", i+2), Name: "n2", State: state, Zone: "elsewhere"})
		}
		s.Servers[1].Zone = "elsewhere"
		if !x.server {
			s.Servers = s.Servers[:1]
		}
		p := made(t, s, a, Allow{})
		require.Empty(t, p.Steps, name)
		require.Equal(t, x.want, p.Others, name)
	}
}

// What guests lose depends on what they had: not every export has a secret.
func TestMake_whatIsLostOfAnExport(t *testing.T) {
	secret := api.ExportSetting{Kind: "iscsi", Address: "127.0.0.1:3261", User: "web1"}
	open, tls := secret, api.ExportSetting{Kind: "nbd-tls", Address: "10.0.0.1:10809"}
	open.User = ""
	to := func(kind volume.ExportKind, address string, open bool) []site.Export {
		return []site.Export{{Kind: kind, Address: address, Open: open}}
	}
	for name, x := range map[string]struct {
		is   []api.ExportSetting
		want []site.Export
		lost string
	}{
		"a new one": {nil, to(volume.ExportISCSI, "127.0.0.1:3261", false), ""},
		"off":       {[]api.ExportSetting{tls}, nil, "guests reach it by that no more"},
		"nbd-tls elsewhere": {[]api.ExportSetting{tls}, to(volume.ExportNBDTLS, "10.0.0.1:1", false),
			"its address: guests need the new one"},
		"with a secret, elsewhere": {[]api.ExportSetting{secret}, to(volume.ExportISCSI, "127.0.0.1:1", false),
			"its secret: guests need the new one"},
		"open, elsewhere": {[]api.ExportSetting{open}, to(volume.ExportISCSI, "127.0.0.1:1", true),
			"its address: guests need the new one"},
		"open, then with a secret": {[]api.ExportSetting{open}, to(volume.ExportISCSI, "127.0.0.1:3261", false),
			"guests reach it without a secret no more: they need the new one"},
		"with a secret, then open": {[]api.ExportSetting{secret}, to(volume.ExportISCSI, "127.0.0.1:3261", true),
			"its secret: whoever is on its host reaches it without one"},
	} {
		s, a := example()
		a.Volumes[0].Exports, s.Guests[0].Volumes[0].Exports = x.is, x.want
		p := made(t, s, a, Allow{RestartAll: true})
		require.Len(t, p.Steps, 3, name)
		require.Equal(t, SetExport, p.Steps[1].Kind, name)
		require.Equal(t, x.lost, p.Steps[1].Loses, name)
	}
}

func TestMake_aVolumeOfTheSiteIsNotDeleted(t *testing.T) {
	s, a := example()
	_, err := Make(s, a, Allow{Prune: true, DeleteVolumes: []string{"web1"}})
	require.ErrorContains(t, err, "volume web1 is to be deleted, and is in the site")
}

// Every field of the words of a site is compared: whichever changes, something is to be done, or cannot be, or
// is not the site's any more. That holds for fields that are yet to come.
func TestMake_everyFieldCounts(t *testing.T) {
	free := map[string]string{
		"Volume.LegsOn": "holds when a volume is made", "Volume.Name": "another name is another volume",
		"Server.Machine": "is the machine's own, but for its roles", "Server.Name": "another name is another server",
		"Cluster.Name": "is compared before", "Guest.Name": "is that of its definition",
		"Guest.Home": "is the first of its hosts", "Guest.Volumes": "are compared one by one",
	}
	check := func(what string, of func(*site.Site) any) {
		s, _ := example()
		typ := reflect.TypeOf(of(s)).Elem()
		for i := range typ.NumField() {
			field := typ.Field(i).Name
			if _, ok := free[what+"."+field]; ok {
				continue
			}
			s, a := example()
			a.Volumes = append(a.Volumes, api.Volume{ID: "v2", Name: "db1"})
			s.Guests = append(s.Guests, site.Guest{Name: "db1", Volumes: []site.Volume{s.Guests[0].Volumes[0]}})
			s.Guests[1].Volumes[0].Name = "db1"
			before := made(t, s, a, Allow{})
			other(t, reflect.ValueOf(of(s)).Elem().Field(i), what+"."+field)
			after := made(t, s, a, Allow{})
			require.NotEqual(t, before, after, "%s.%s changes nothing", what, field)
		}
	}
	check("Cluster", func(s *site.Site) any { return &s.Cluster })
	check("Image", func(s *site.Site) any {
		s.Images = []site.Image{{Name: "debian", Version: 1, Digest: "d", File: "/f", Comment: "c"}}
		return &s.Images[0]
	})
	check("Server", func(s *site.Site) any { return &s.Servers[0] })
	check("Guest", func(s *site.Site) any { return &s.Guests[0] })
	check("Volume", func(s *site.Site) any { return &s.Guests[0].Volumes[0] })
	check("Definition", func(s *site.Site) any { return s.Guests[0].Definition })
}

// other gives a field another value.
func other(t *testing.T, v reflect.Value, name string) {
	t.Helper()
	switch to := v.Addr().Interface().(type) {
	case *string:
		*to += "x"
	case *int:
		*to++
	case *int64:
		*to += 4096
	case *time.Duration:
		*to += time.Hour
	case *[]string:
		*to = append(*to, "db1")
	case *volume.Digest:
		*to += "x"
	case *volume.Layout:
		*to = volume.Mirror(3)
	case *volume.Durability:
		*to = volume.DurabilitySync
	case *volume.UnflushedLoss:
		*to = volume.LossAccept
	case *volume.Limit:
		to.IOPS = 77
	case *[]site.Export:
		*to = []site.Export{{Kind: volume.ExportISCSI}}
	case *site.After:
		to.Never = true
	case *site.State:
		*to = site.Stopped
	case **definition.Definition:
		*to = nil
	case *guest.Machine:
		to.VCPUs++
	case *guest.Policy:
		to.StartOrder++
	case *[]guest.Volume:
		*to = append(*to, guest.Volume{Name: "db1"})
	case *json.RawMessage:
		*to = json.RawMessage(`{"command":["y"]}`)
	default:
		t.Fatalf("%s: the test has no other value of a %s", name, v.Type())
	}
}

// What a volume is made with stays; that the site says otherwise is a conflict, not a step.
func TestMake_conflicts(t *testing.T) {
	s, a := example()
	v := &s.Guests[0].Volumes[0]
	v.SizeBytes, v.Layout, v.Spread = 2<<30, volume.Mirror(3), "zone"
	p := made(t, s, a, Allow{})
	require.Empty(t, p.Steps)
	require.Len(t, p.Conflicts, 1)
	require.Equal(t, []Change{{"size", "1G", "2G"}, {"layout", "mirror=2", "mirror=3"}, {"spread", "none", "zone"}},
		p.Conflicts[0].Changes)
}

// apart_from holds both ways, whoever says it: the second of two is made apart from the first.
func TestMake_apart(t *testing.T) {
	s, a := example()
	v := s.Guests[0].Volumes[0]
	v.Name, v.ApartFrom = "db1", nil
	s.Guests[0].Volumes[0].ApartFrom = []string{"db1"}
	s.Guests = append(s.Guests, site.Guest{Name: "db1", Volumes: []site.Volume{v}})
	p := made(t, s, a, Allow{})
	require.Equal(t, []string{"create_volume volume/db1"}, steps(p))
	require.Equal(t, []string{"web1"}, p.Steps[0].Request.Create.ApartFrom)
	require.Empty(t, p.Conflicts)

	there := a.Volumes[0]
	there.Name, there.ID, there.Apart, there.Attachment = "db1", "v2", []string{"web1"}, nil
	p = made(t, s, Actual{Cluster: a.Cluster, Nodes: a.Nodes, Domains: a.Domains,
		Volumes: append(a.Volumes, there)}, Allow{})
	require.Empty(t, p.Steps)
	require.Empty(t, p.Conflicts)

	there.Apart = nil
	p = made(t, s, Actual{Cluster: a.Cluster, Nodes: a.Nodes, Domains: a.Domains,
		Volumes: append(a.Volumes, there)}, Allow{})
	require.Len(t, p.Conflicts, 2)
}

// A definition is the same whatever the order of its settings, and whether what is empty is there.
func TestDifferences_oneForm(t *testing.T) {
	a := api.DomainSpec{Name: "a", Settings: []byte(`{"x":1,"y":[2]}`)}
	b := api.DomainSpec{Name: "a", Settings: []byte(`{ "y":[2], "x":1 }`), Hosts: []string{},
		Volumes: []api.DomainVolume{}}
	require.Empty(t, differences(a, b))
	b.Settings = []byte(`{"x":1,"y":[3]}`)
	require.Equal(t, []Change{{"settings", `{"x":1,"y":[2]}`, `{"x":1,"y":[3]}`}}, differences(a, b))
}

// A definition that names an image without a version is no other one than that which the domain is pinned to.
func TestMake_anImageWithoutAVersion(t *testing.T) {
	s, a := example()
	boot := func(file string) *guest.Boot { return &guest.Boot{RootImage: file} }
	for _, c := range []struct {
		wants, is string
		same      bool
	}{{"image:debian", "image:debian@3", true}, {"image:debian@3", "image:debian@3", true},
		{"image:debian@4", "image:debian@3", false}, {"image:fedora", "image:debian@3", false},
		{"/r", "image:debian@3", false}, {"image:debian", "/r", false}} {
		s.Guests[0].Definition.Machine.Boot, a.Domains[0].Spec.Boot = boot(c.wants), boot(c.is)
		p := made(t, s, a, Allow{})
		require.Equal(t, c.same, len(p.Steps) == 0, "%+v: %v", c, steps(p))
	}
}

// A version never changes, and numbers only grow.
func TestMake_imagesThatCannotBe(t *testing.T) {
	s, a := example()
	s.Images = []site.Image{{Name: "debian", Version: 3, Digest: "other"}, {Name: "debian", Version: 2, Digest: "d2"},
		{Name: "fedora", Version: 1, Digest: "f1"}}
	a.Images = []api.Image{{Name: "debian", Versions: []api.ImageVersion{{Version: 3, Digest: "d3"}}},
		{Name: "fedora", Versions: []api.ImageVersion{{Version: 1, Digest: "f1"}}}}
	p := made(t, s, a, Allow{})
	require.Empty(t, p.Steps)
	require.Len(t, p.Conflicts, 2)
	require.Equal(t, "image/debian@2", p.Conflicts[0].Object)
	require.Equal(t, []Change{{"digest", "d3", "other"}}, p.Conflicts[1].Changes)
}
