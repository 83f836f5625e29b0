package coordinator

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
)

func TestPlacement_throughTheAPI(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		text := func(s string) *string { return &s }
		for node, zone := range map[string]string{"n1": "a", "n2": "a", "n3": "b"} {
			n, err := w.api.SetNode(t.Context(), node, api.SetNode{Zone: text(zone), Rack: text("r1")})
			require.NoError(t, err)
			require.Equal(t, []string{zone, "r1"}, []string{n.Zone, n.Rack})
		}
		_, err := w.api.SetNode(t.Context(), "n1", api.SetNode{Zone: text("Zone A")})
		refusedWith(t, err, api.CodeInvalid, "zone name")
		_, err = w.api.SetNode(t.Context(), "n9", api.SetNode{Zone: text("a")})
		refusedWith(t, err, api.CodeNotFound, "n9")
		_, err = w.api.SetNode(t.Context(), "n1", api.SetNode{})
		refusedWith(t, err, api.CodeInvalid, "nothing is to be changed")

		create := api.CreateVolume{Name: "db1", SizeBytes: 1 << 30, Layout: "mirror=2", Spread: "zone"}
		v, err := w.api.CreateVolume(t.Context(), create)
		require.NoError(t, err)
		require.Equal(t, "zone", v.Spread)
		require.Contains(t, []string{v.Legs[0].Node, v.Legs[1].Node}, "n3")
		create.Name, create.Layout = "db3", "mirror=3"
		_, err = w.api.CreateVolume(t.Context(), create)
		refusedWith(t, err, api.CodeFailed, "--spread zone: 3 zones with 1 GiB free are needed, 2 can take a leg")
		create.Spread = "planet"
		_, err = w.api.CreateVolume(t.Context(), create)
		refusedWith(t, err, api.CodeInvalid, "planet")

		apart := api.CreateVolume{Name: "db2", SizeBytes: 1 << 30, Layout: "mirror=1", ApartFrom: []string{"db1"}}
		v, err = w.api.CreateVolume(t.Context(), apart)
		require.NoError(t, err)
		require.Equal(t, []string{"db1"}, v.Apart)
		for _, l := range w.volume("db1").Legs {
			require.NotEqual(t, l.Node, v.Legs[0].Node)
		}
		apart.Name, apart.Layout, apart.ApartFrom = "db4", "mirror=2", []string{"db1", "db2"}
		_, err = w.api.CreateVolume(t.Context(), apart)
		refusedWith(t, err, api.CodeFailed, "holds a leg of volume db1, which this volume keeps apart from")
	})
}

func TestPlacement_overProvision(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n, err := w.api.Node(t.Context(), "n1")
		require.NoError(t, err)
		room := n.Stores[0].Promisable
		require.Positive(t, room)
		large := api.CreateVolume{Name: "large", SizeBytes: room + room/4>>12<<12, Layout: "mirror=1"}
		_, err = w.api.CreateVolume(t.Context(), large)
		refusedWith(t, err, api.CodeFailed, "free of the")
		percent := 150
		c, err := w.api.SetCluster(t.Context(), api.SetCluster{OverProvision: &percent})
		require.NoError(t, err)
		require.Equal(t, 150, c.OverProvision)
		_, err = w.api.CreateVolume(t.Context(), large)
		require.NoError(t, err)
		percent = 0
		_, err = w.api.SetCluster(t.Context(), api.SetCluster{OverProvision: &percent})
		refusedWith(t, err, api.CodeInvalid, "out of bounds")
	})
}
