package raft

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// places is a state with four storage nodes, and what their stores report.
func places(t *testing.T) (*script, PlaceRequest) {
	s := newScript(t)
	s.apply(`init_cluster demo
		register n1 storage stores=s1
		register n2 storage stores=s2
		register n3 storage stores=s3,s3b
		register n4 storage stores=s4
		register h1 host
		create old A@n1/s1 B@n2/s2 layout:mirror:2
		provisioned old A
		provisioned old B`)
	r := PlaceRequest{Legs: 2, NeedBytes: 100, Stores: []StoreUse{
		{Node: s.node("n1"), Store: s.store("s1"), FreeBytes: 1000, TotalBytes: 4000},
		{Node: s.node("n2"), Store: s.store("s2"), FreeBytes: 2000, TotalBytes: 4000},
		{Node: s.node("n3"), Store: s.store("s3"), FreeBytes: 300, TotalBytes: 2000},
		{Node: s.node("n3"), Store: s.store("s3b"), FreeBytes: 400, TotalBytes: 2000},
		{Node: s.node("n4"), Store: s.store("s4"), FreeBytes: 500, TotalBytes: 1000},
	}}
	return s, r
}

func (s *script) spots(found []Spot) []string {
	var names []string
	for _, f := range found {
		names = append(names, s.names[f.Node.String()]+"/"+s.names[f.Store.String()])
	}
	return names
}

func TestPlace(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*script, *PlaceRequest)
		want   []string
		err    string
	}{
		{"what stays emptiest for its size", func(*script, *PlaceRequest) {}, []string{"n2/s2", "n4/s4"}, ""},
		{"fewest legs among equals", func(_ *script, r *PlaceRequest) {
			r.Stores[1].FreeBytes, r.Legs = 1700, 1
		}, []string{"n4/s4"}, ""},
		{"all four", func(_ *script, r *PlaceRequest) { r.Legs = 4 },
			[]string{"n2/s2", "n4/s4", "n1/s1", "n3/s3b"}, ""},
		{"more than there are", func(_ *script, r *PlaceRequest) { r.Legs = 5 }, nil,
			"5 storage nodes with 100 B free are needed, 4 can take a leg"},
		{"the named nodes, in their order", func(_ *script, r *PlaceRequest) { r.On = []string{"n2", "n1"} },
			[]string{"n2/s2", "n1/s1"}, ""},
		{"two of the named", func(_ *script, r *PlaceRequest) { r.On = []string{"n3", "n1", "n4"} },
			[]string{"n3/s3b", "n1/s1"}, ""},
		{"too few named", func(_ *script, r *PlaceRequest) { r.On = []string{"n1"} }, nil, "1 can take a leg"},
		{"a named node is unknown", func(_ *script, r *PlaceRequest) { r.On = []string{"n1", "n9"} }, nil,
			"n9 is no node of this cluster"},
		{"a named node stores nothing", func(_ *script, r *PlaceRequest) { r.On = []string{"n1", "h1"} }, nil,
			"h1 is no storage node"},
		{"a dead node is passed over", func(s *script, r *PlaceRequest) {
			r.Live = func(n volume.NodeID) bool { return n != s.node("n4") }
		}, []string{"n2/s2", "n1/s1"}, ""},
		{"a named node is dead", func(s *script, r *PlaceRequest) {
			r.On, r.Live = []string{"n1", "n4"}, func(n volume.NodeID) bool { return n != s.node("n4") }
		}, nil, "n4 does not answer"},
		{"a full store is passed over", func(_ *script, r *PlaceRequest) { r.NeedBytes = 600 },
			[]string{"n2/s2", "n1/s1"}, ""},
		{"too little space", func(_ *script, r *PlaceRequest) { r.NeedBytes = 1500 }, nil,
			"n4 has 500 B free of the 1.5 KiB needed"},
		{"a broken store", func(_ *script, r *PlaceRequest) { r.Stores[4].Error, r.Legs = "read only", 4 }, nil,
			"n4 store s4: read only"},
		{"a store that is nearly full", func(_ *script, r *PlaceRequest) {
			r.Stores[4].NearlyFull, r.Legs = true, 4
		}, nil, "n4 store s4 is nearly full"},
		{"zones before space", func(s *script, r *PlaceRequest) {
			s.apply("locate n2 zone=a\nlocate n4 zone=a\nlocate n1 zone=a\nlocate n3 zone=b")
		}, []string{"n2/s2", "n3/s3b"}, ""},
		{"two and two in two zones", func(s *script, r *PlaceRequest) {
			r.Legs = 4
			s.apply("locate n2 zone=a\nlocate n4 zone=a\nlocate n1 zone=b\nlocate n3 zone=b")
		}, []string{"n2/s2", "n1/s1", "n4/s4", "n3/s3b"}, ""},
		{"racks of one zone", func(s *script, r *PlaceRequest) {
			s.apply("locate n2 zone=a rack=r\nlocate n4 zone=a rack=r")
			s.apply("locate n1 zone=a rack=q\nlocate n3 zone=a rack=q")
		}, []string{"n2/s2", "n1/s1"}, ""},
		{"three zones are demanded, two have space", func(s *script, r *PlaceRequest) {
			r.Legs, r.Spread, r.NeedBytes = 3, SpreadZone, 450
			s.apply("locate n1 zone=a\nlocate n2 zone=a\nlocate n3 zone=b\nlocate n4 zone=c")
		}, nil, "3 zones with 450 B free are needed, 2 can take a leg: n3 (zone b) has 400 B free of the 450 B needed"},
		{"a zone is demanded and not known", func(s *script, r *PlaceRequest) {
			r.Spread = SpreadZone
			s.apply("locate n1 zone=a")
		}, nil, "n2 is in no zone that is known (holdfast node set n2 --zone NAME)"},
		{"apart from another volume", func(s *script, r *PlaceRequest) { r.Apart = []volume.ID{s.vol("old")} },
			[]string{"n4/s4", "n3/s3b"}, ""},
		{"apart, and too few nodes are left", func(s *script, r *PlaceRequest) {
			r.Apart, r.Legs = []volume.ID{s.vol("old")}, 3
		}, nil, "n1 holds a leg of volume old, which this volume keeps apart from"},
		{"a store that reports nothing", func(_ *script, r *PlaceRequest) { r.Stores, r.Legs = r.Stores[:4], 4 }, nil,
			"n4 has no store that reports"},
		{"a drained node is passed over", func(s *script, _ *PlaceRequest) { s.apply("retire n4") },
			[]string{"n2/s2", "n1/s1"}, ""},
		{"a drained node is named", func(s *script, r *PlaceRequest) { s.apply("retire n4"); r.Legs = 4 }, nil,
			"n4 is being emptied"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, r := places(t)
			row.change(s, &r)
			found, err := s.state.Place(r)
			if row.err != "" {
				require.ErrorContains(t, err, row.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, row.want, s.spots(found))
		})
	}
}

func TestPlaceReplacement(t *testing.T) {
	for _, row := range []struct {
		name, setUp, old string
		alive            []string
		want, err        string
	}{
		{"any node without a leg of it", "", "A", []string{"n1", "n2", "n3", "n4"}, "n4/s4", ""},
		{"the node that takes the old one's place", "retire n1 by=n3", "A",
			[]string{"n2", "n3", "n4"}, "n3/s3b", ""},
		{"never the node of another leg", "", "A", []string{"n2"}, "", "n2 holds another leg of volume old"},
		{"its own node has no other store", "", "A", []string{"n1", "n2"}, "", "1 storage node "},
		{"the same store, when the data is gone", "lost old A", "A", []string{"n1", "n2"}, "n1/s1", ""},
		{"an unknown leg", "", "X", nil, "", "no leg"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, r := places(t)
			if row.setUp != "" {
				s.apply(row.setUp)
			}
			r.Live = func(n volume.NodeID) bool {
				for _, name := range row.alive {
					if n == s.node(name) {
						return true
					}
				}
				return false
			}
			spot, err := s.state.PlaceReplacement(s.vol("old"), s.leg(row.old), r)
			if row.err != "" {
				require.ErrorContains(t, err, row.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, []string{row.want}, s.spots([]Spot{spot}))
			// What placement proposes, Apply takes.
			cmd := Command{At: at(), ReplaceLeg: &ReplaceLeg{Volume: s.vol("old"), Old: s.leg(row.old),
				New: NewLeg{ID: s.leg("N"), Node: spot.Node, Store: spot.Store}}}
			require.Nil(t, s.state.Apply(cmd).Err)
		})
	}
}
