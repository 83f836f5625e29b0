package coordinator

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// imageState is a cluster of three hosts in which image a has two versions and b one, all on h1.
func imageState(t *testing.T) (*raft.State, map[string]volume.NodeID) {
	t.Helper()
	s, ids := raft.NewState(), map[string]volume.NodeID{}
	must := func(c raft.Command) {
		t.Helper()
		require.Nil(t, s.Apply(c).Err)
	}
	must(raft.Command{RaiseVersion: &raft.RaiseVersion{To: 2}})
	for _, name := range []string{"h1", "h2", "h3"} {
		ids[name] = volume.NewNodeID()
		must(raft.Command{RegisterNode: &raft.RegisterNode{Node: raft.Node{ID: ids[name], Name: name, API: name + ":1",
			Roles: []raft.Role{raft.RoleHost}}}})
	}
	for i, name := range []string{"a", "a", "b"} {
		must(raft.Command{AddImage: &raft.AddImage{Name: name, Digest: digest(i), SizeBytes: 10, Holder: ids["h1"]}})
		must(raft.Command{PlaceBlob: &raft.PlaceBlob{Digest: digest(i), Add: []volume.NodeID{ids["h2"], ids["h3"]}}})
	}
	return s, ids
}

func digest(i int) volume.Digest { return volume.DigestOf([32]byte{byte(i)}) }

func defined(name, root string, hosts ...string) raft.DomainSpec {
	return raft.DomainSpec{Name: name, Driver: "exec", Exec: &raft.ExecSpec{Command: []string{"x"}}, Hosts: hosts,
		Volumes: []raft.DomainVolume{{Name: name}}, Machine: guest.Machine{Boot: &guest.Boot{RootImage: root}}}
}

func TestImageOrders_theMostUrgentFirst(t *testing.T) {
	s, ids := imageState(t)
	order := func(host string) string {
		var out []string
		for _, o := range BuildAssignment(s, ids[host], time.Second).Images {
			for i := range 3 {
				if o.Digest == digest(i) {
					if o.Alike {
						out = append(out, "=")
					}
					out = append(out, string(rune('0'+i)))
				}
			}
			require.EqualValues(t, 10, o.SizeBytes)
			require.Equal(t, host == "h1", o.Has)
			if host != "h1" {
				require.Equal(t, []peer.Peer{{ID: ids["h1"], API: "h1:1"}}, o.From)
			}
		}
		return strings.Join(out, "")
	}
	require.Len(t, strings.ReplaceAll(order("h2"), "=", ""), 3)
	require.Equal(t, 2, strings.Count(order("h2"), "="), "no guest needs any")
	define := func(spec raft.DomainSpec) {
		require.Nil(t, s.Apply(raft.Command{DefineDomain: &raft.DefineDomain{ID: volume.NewUUID(), Spec: spec}}).Err)
	}
	define(defined("web1", "image:b@1", "h1", "h2"))
	define(defined("web2", "image:a@2", "h2"))
	require.True(t, strings.HasPrefix(order("h2"), "12"), "it is the first host of web2 and the second of web1")
	require.True(t, strings.HasPrefix(order("h1"), "2"))
	require.Equal(t, 1, strings.Count(order("h1"), "="), "both others")
	require.Equal(t, 0, strings.Count(order("h2"), "="))
	s.Domains["web1"].Running, s.Domains["web1"].Host = true, ids["h2"]
	require.True(t, strings.HasPrefix(order("h2"), "21"), "a guest that is to run there comes first")
}

func TestImageFiles_areThoseOfTheRun(t *testing.T) {
	s, _ := imageState(t)
	d := &raft.Domain{Spec: defined("web1", "image:a@2"), Boots: guest.Pins{RootImage: "image:a@1"}}
	require.Equal(t, []peer.ImageFile{{Image: "a@1", Digest: digest(0)}}, imageFiles(s, d))
	d.Boots = guest.Pins{}
	require.Equal(t, []peer.ImageFile{{Image: "a@2", Digest: digest(1)}}, imageFiles(s, d))
}

// A definition without a version is pinned to the newest, or stays with what it is pinned to.
func TestVersionsOf(t *testing.T) {
	s, _ := imageState(t)
	root := func(spec raft.DomainSpec) string {
		t.Helper()
		got, err := versionsOf(s, spec)
		require.NoError(t, err)
		return got.Machine.Boot.RootImage
	}
	require.Equal(t, "image:a@2", root(defined("web1", "image:a")))
	require.Equal(t, "image:a@1", root(defined("web1", "image:a@1")))
	require.Equal(t, "/r", root(defined("web1", "/r")))
	_, err := versionsOf(s, defined("web1", "image:none"))
	require.ErrorContains(t, err, "there is no image none")
	s.Domains["web1"] = &raft.Domain{Name: "web1", Spec: defined("web1", "image:a@1")}
	require.Equal(t, "image:a@1", root(defined("web1", "image:a")), "it is pinned to that")
	require.Equal(t, "image:b@1", root(defined("web1", "image:b")))
}
