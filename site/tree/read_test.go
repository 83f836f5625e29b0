package tree

import (
	"errors"
	"maps"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/volume"
)

const execDomU = "name: web1\ndriver: exec\nexec: {command: [x]}\n"

// smallest is a tree in which every file is as short as can be.
func smallest() map[string]string {
	return map[string]string{
		"global/cluster.yaml":          "name: prod\n",
		"pservers/n1/node.yaml":        "address: 10.0.0.1\n",
		"pservers/n2/node.yaml":        "address: 10.0.0.2\nroles: [coordinator]\n",
		"pservers/n1/domUs/web1.yaml":  execDomU + "volumes: [{name: web1}]\nhosts: [n1]\n",
		"vservers/web1/guest.yaml":     "volumes: [{name: web1, size: 1G}]\n",
		"vservers/web1/files/any/more": "what: ever: it: is\n",
		"docs/notes.txt":               "notes\n",
		"README.md":                    "read me\n",
		".git/HEAD":                    "ref\n",
	}
}

func treeOf(files map[string]string) fstest.MapFS {
	root := fstest.MapFS{}
	for name, text := range files {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return root
}

func TestRead_smallest(t *testing.T) {
	s, err := Read("t", treeOf(smallest()))
	require.NoError(t, err)
	require.Equal(t, site.Cluster{Name: "prod", OverProvision: 100}, s.Cluster)
	require.Len(t, s.Servers, 2)
	require.Equal(t, []string{"coordinator", "storage", "host"}, s.Servers[0].Machine.Roles)
	require.Equal(t, "10.0.0.2", s.Servers[1].Machine.Address)
	require.Len(t, s.Guests, 1)
	g := s.Guests[0]
	require.Equal(t, site.Running, g.State)
	require.Equal(t, "n1", g.Home)
	require.Equal(t, "exec", g.Definition.Driver)
	require.Equal(t, []site.Volume{{Name: "web1", SizeBytes: 1 << 30, Layout: volume.Mirror(2),
		Durability: volume.DurabilityFlush, UnflushedLoss: volume.LossWait, ScrubEvery: 720 * time.Hour}}, g.Volumes)
}

// The example that the documentation names is read as it is meant.
func TestReadDir_theExample(t *testing.T) {
	s, err := ReadDir("../../examples/site")
	require.NoError(t, err)
	require.Equal(t, site.Cluster{Name: "dev", OverProvision: 150,
		ReplaceAfter: site.After{Time: 15 * time.Minute}}, s.Cluster)
	require.Equal(t, site.Server{Name: "n2", Zone: "b", Rack: "r1", Machine: site.Machine{
		Roles: []string{"coordinator", "storage", "host"}, Address: "10.0.0.2", ListenISCSI: "10.0.1.2:3260",
		StorageNetwork: "10.0.1.0/24", Stores: []site.Store{{Name: "nvme0", Path: "/srv/holdfast/nvme0"}}}},
		s.Servers[1])
	require.Equal(t, "db1", s.Guests[0].Name)
	require.Equal(t, site.Stopped, s.Guests[0].State)
	require.Equal(t, "n2", s.Guests[0].Home)
	require.Equal(t, []site.Volume{
		{Name: "db1", SizeBytes: 128 << 20, Layout: volume.Mirror(2), Durability: volume.DurabilitySync,
			UnflushedLoss: volume.LossWait, ScrubEvery: 336 * time.Hour,
			ReplaceAfter: site.After{Time: 5 * time.Minute},
			Exports:      []site.Export{{Kind: volume.ExportNBDTLS}}},
		{Name: "db1-log", SizeBytes: 64 << 20, Layout: volume.Mirror(2), Durability: volume.DurabilityFlush,
			UnflushedLoss: volume.LossWait, LegsOn: []string{"n1", "n3"}},
	}, s.Guests[0].Volumes)
	require.Equal(t, volume.Limit{IOPS: 500, Bandwidth: 50 << 20, Burst: 10 * time.Second},
		s.Guests[1].Volumes[0].Limit)
}

func TestReadDir_noDirectory(t *testing.T) {
	_, err := ReadDir(t.TempDir() + "/none")
	require.ErrorIs(t, err, os.ErrNotExist)
	file := t.TempDir() + "/file"
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = ReadDir(file)
	require.ErrorContains(t, err, "no directory")
}

// Whatever is wrong is named with its file, and with line and column where it is in one.
func TestRead_faults(t *testing.T) {
	const guest, domU = "vservers/web1/guest.yaml", "pservers/n1/domUs/web1.yaml"
	for _, c := range []struct{ file, text, want string }{
		{"colour", "", "t/colour: it is unknown: here may be global, pservers, vservers, docs; keep notes in docs"},
		{"docs", "x", "t/docs: it has to be a directory"},
		{"global/more.yaml", "", "t/global/more.yaml: it is unknown: here may be cluster.yaml"},
		{"global/cluster.yaml", "\n", "t/global/cluster.yaml: it says nothing"},
		{"global/cluster.yaml", "", "t/global/cluster.yaml: it says nothing"},
		{"global/cluster.yaml", "name: Prod", "t/global/cluster.yaml: line 1, column 7: name: cluster name \"Prod\""},
		{"global/cluster.yaml", "name: a\nover: 1",
			"t/global/cluster.yaml: line 2, column 1: the field over is unknown"},
		{"global/cluster.yaml", "name: a\nover_provision: much", "line 2, column 17: over_provision: \"much\""},
		{"global/cluster.yaml", "name: a\nreplace_after: soon", "line 2, column 16: replace_after: \"soon\""},
		{"global/cluster.yaml", "name: a\nvolumes: {layout: raid}",
			"line 2, column 19: volumes.layout: layout \"raid\""},
		{"global/cluster.yaml", "name: a\nmachines: {roles: [king]}", "line 2, column 19: machines.roles: \"king\""},
		{"global/cluster.yaml", "name: a\nmachines: {timing: {t_read: 1}}", "column 29: machines.timing.t_read: \"1\""},
		{"pservers/stray", "", "t/pservers/stray: it is unknown: here may be a directory for each physical server"},
		{"pservers/N3/node.yaml", "{}", "t/pservers/N3: physical server name \"N3\""},
		{"pservers/n3/other", "", "t/pservers/n3/node.yaml: it is missing"},
		{"pservers/n1/node.yml", "", "t/pservers/n1/node.yml: it is unknown: here may be node.yaml, domUs"},
		{"pservers/n1/node.yaml", "location: {zone: A}",
			"node.yaml: line 1, column 18: location.zone: zone name \"A\""},
		{"pservers/n1/node.yaml", "roles: [x]", "pservers/n1/node.yaml: line 1, column 8: roles: \"x\" is unknown"},
		{"pservers/n1/domUs/web1.yml", "", "t/pservers/n1/domUs/web1.yml: it is unknown: here may be the definition"},
		{domU, "name: web2\ndriver: exec\nexec: {command: [x]}",
			domU + ": line 1, column 7: name: the file is that of"},
		{domU, "name: web1\nspeed: 3", "t/" + domU + ": line 2, column 1: the field speed is unknown"},
		{domU, "name: web1\ndriver: exec\nexec: {command: [x]}",
			domU + ": line 1, column 1: domain web1 names no hosts"},
		{domU, "name: web1\ndriver: exec\nexec: {command: [x]}\nhosts: [n2]",
			domU + ": line 4, column 9: hosts[0]: the home of domain web1 is n1"},
		{domU, "name: web1\ndriver: exec\nexec: {command: [x]}\nhosts: [n1, n9]",
			domU + ": line 4, column 13: hosts[1]: there is no pservers/n9/node.yaml"},
		{domU, "name: web1\ndriver: exec\nexec: {command: [x]}\nhosts: [n1, n2]",
			domU + ": line 4, column 13: hosts[1]: server n2 has not the role host"},
		{domU, "name: web1\ndriver: exec\nexec: {command: [x]}\nhosts: [n1]\nvolumes: [{name: b}]",
			domU + ": line 5, column 18: volumes[0].name: there is no volume b: it belongs into " + guest},
		{"pservers/n1/domUs/web9.yaml", "name: web9\ndriver: exec\nexec: {command: [x]}\nhosts: [n1]",
			"web9.yaml: line 1, column 7: name: there is no vservers/web9/guest.yaml"},
		{"pservers/n2/domUs/web1.yaml", "name: web1\ndriver: exec\nexec: {command: [x]}\nhosts: [n2]",
			"name: domain web1 is defined in pservers/n1/domUs/web1.yaml already"},
		{"vservers/stray.yaml", "", "t/vservers/stray.yaml: it is unknown: here may be a directory for each guest"},
		{"vservers/web1/motd", "", "t/vservers/web1/motd: it is unknown: here may be guest.yaml, files"},
		{guest, "state: up\n", "t/" + guest + ": line 1, column 8: state: \"up\": want running, stopped or as_it_is"},
		{"vservers/web0/guest.yaml", "volumes: []\nstate: stopped", "t/vservers/web0/guest.yaml: line 2, column 8: " +
			"state: guest web0 has no definition, so nothing of it can be stopped: give it one, in pservers/SERVER/"},
		{guest, "volumes: [{name: A, size: 1G}]", guest + ": line 1, column 18: volumes[0].name: volume name \"A\""},
		{guest, "volumes: [{name: a}]", guest + ": line 1, column 11: volumes[0]: how large is volume a?"},
		{guest, "volumes: [{name: a, size: 1}]", guest + ": line 1, column 27: volumes[0].size: size 1 is no multiple"},
		{guest, "volumes: [{name: a, size: 1G, layout: x}]", guest + ": line 1, column 39: volumes[0].layout: "},
		{guest, "volumes: [{name: a, size: 1G, durability: x}]", "volumes[0].durability: durability \"x\""},
		{guest, "volumes: [{name: a, size: 1G, unflushed_loss: x}]", "volumes[0].unflushed_loss: \"x\": want wait or"},
		{guest, "volumes: [{name: a, size: 1G, spread: x}]", "volumes[0].spread: \"x\": want zone, rack or node"},
		{guest, "volumes: [{name: a, size: 1G, legs_on: [n1]}]", "volumes[0].legs_on: 1 nodes are named, the layout"},
		{guest, "volumes: [{name: a, size: 1G, legs_on: [n1, n2]}]", "legs_on[1]: server n2 has not the role storage"},
		{guest, "volumes: [{name: a, size: 1G, scrub_every: 1d}]",
			"volumes[0].scrub_every: \"1d\": want whole seconds"},
		{guest, "volumes: [{name: a, size: 1G, replace_after: x}]",
			"volumes[0].replace_after: \"x\": want whole seconds"},
		{guest, "volumes: [{name: a, size: 1G, limit: {iops: 3}}]",
			"column 38: volumes[0].limit: a limit of 3 requests"},
		{guest, "volumes: [{name: a, size: 1G, limit: {burst: x}}]", "volumes[0].limit.burst: \"x\": want a time"},
		{guest, "volumes: [{name: a, size: 1G, limit: {bandwidth: x}}]", "volumes[0].limit.bandwidth: size \"x\""},
		{guest, "volumes: [{name: a, size: 1G, exports: [{kind: nbd, address: auto}]}]",
			"an export of the kind \"nbd\""},
		{guest, "volumes: [{name: a, size: 1G, exports: [{kind: iscsi}]}]", "exports[0]: where is it to be reached?"},
		{guest, "volumes: [{name: a, size: 1G, exports: [{kind: nbd-tls, address: auto, open: true}]}]",
			"exports[0].open: an export nbd-tls is never open"},
		{guest, "volumes: [{name: a, size: 1G, exports: [{kind: iscsi, address: \"10.0.0.1:3261\", open: true}]}]",
			"only loopback may do without"},
		{guest, "volumes: [{name: a, size: 1G, exports: [{kind: iscsi, address: auto}, {kind: iscsi, address: auto}]}]",
			"exports[1].kind: the volume has an export iscsi already"},
		{guest, "volumes: [{name: a, size: 1G, apart_from: [a]}, {name: web1, size: 1G}]",
			"cannot be apart from itself"},
		{guest, "volumes: [{name: web1, size: 1G, apart_from: [b]}]",
			"apart_from[0]: there is no volume b in vservers"},
		{"vservers/web0/guest.yaml", "volumes: [{name: web1, size: 1G}]",
			"t/" + guest + ": line 1, column 18: volumes[0].name: vservers/web0/guest.yaml has a volume web1"},
		{"vservers/web0/guest.yaml", "volumes: [" +
			"{name: a, size: 1G, exports: [{kind: iscsi, address: \"0.0.0.0:3261\"}]}, " +
			"{name: b, size: 1G, exports: [{kind: iscsi, address: \"10.0.0.1:3261\"}]}]",
			"volumes[1].exports[0].address: the export iscsi of volume a is at 0.0.0.0:3261 already"},
	} {
		files := maps.Clone(smallest())
		if c.file == "docs" {
			delete(files, "docs/notes.txt")
		}
		files[c.file] = c.text
		_, err := Read("t", treeOf(files))
		require.ErrorContains(t, err, c.want, "%s: %s", c.file, c.text)
	}
}

// All that is wrong is told at once.
func TestRead_allFaults(t *testing.T) {
	files := smallest()
	files["pservers/n1/node.yaml"], files["vservers/web1/guest.yaml"] = "a: 1\n", "b: 1\n"
	_, err := Read("t", treeOf(files))
	require.ErrorContains(t, err, "the field a is unknown")
	require.ErrorContains(t, err, "the field b is unknown")
	delete(files, "global/cluster.yaml")
	_, err = Read("t", treeOf(files))
	require.ErrorContains(t, err, "t/global/cluster.yaml: it is missing")
}

// FuzzRead feeds files that nobody wrote: they are read or refused.
func FuzzRead(f *testing.F) {
	of := smallest()
	f.Add(of["global/cluster.yaml"], of["pservers/n1/node.yaml"], of["vservers/web1/guest.yaml"],
		of["pservers/n1/domUs/web1.yaml"])
	f.Add("name: a\nvolumes: &v {layout: mirror=3}\n", "stores: [{name: a, path: /a}]",
		"volumes: [{name: web1, size: 1G, exports: [{kind: iscsi, address: auto}], apart_from: [web1]}]", "")
	f.Fuzz(func(t *testing.T, cluster, node, guest, domU string) {
		files := smallest()
		files["global/cluster.yaml"], files["pservers/n1/node.yaml"] = cluster, node
		files["vservers/web1/guest.yaml"], files["pservers/n1/domUs/web1.yaml"] = guest, domU
		s, err := Read("t", treeOf(files))
		if err == nil && s == nil {
			t.Fatal("neither a site nor a fault")
		}
		var joined interface{ Unwrap() []error }
		if err != nil && !errors.As(err, &joined) {
			t.Fatalf("no list of faults: %v", err)
		}
	})
}

func TestRead_images(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	read := func(text string) (*site.Site, error) {
		files := smallest()
		files["global/images.yaml"] = text
		return Read("t", treeOf(files))
	}
	s, err := read("images:\n- name: debian\n  versions:\n  - {version: 3, digest: '" + digest + "', file: img/d3}\n" +
		"  - {version: 4, digest: '" + digest + "', file: /img/d4, comment: new}\n")
	require.NoError(t, err)
	require.Equal(t, []site.Image{{Name: "debian", Version: 3, Digest: volume.Digest(digest), File: "t/img/d3"},
		{Name: "debian", Version: 4, Digest: volume.Digest(digest), File: "/img/d4", Comment: "new"}}, s.Images)
	twice := "images: [{name: d, versions: [&v {version: 1, digest: '" + digest + "'}, *v]}]"
	for text, want := range map[string]string{
		"images: [{name: Debian}]": "images[0].name", twice: "is there twice",
		"images: [{name: d, versions: [{version: 0, digest: x}]}]": "images[0].versions[0].version",
		"images: [{name: d, versions: [{version: 1, digest: x}]}]": "images[0].versions[0].digest",
		"images: [{name: d, versions: [{version: 1, colour: x}]}]": "the field colour is unknown",
	} {
		_, err := read(text)
		require.ErrorContains(t, err, want, text)
	}
}
