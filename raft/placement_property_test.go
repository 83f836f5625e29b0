package raft

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// TestPlace_neverWorse places volumes in random clusters and compares each choice with all others that
// the rules allow: none shares fewer zones and racks, and with one leg left out, no other candidate is
// better by the declared order. When nothing is found, nothing could have been.
func TestPlace_neverWorse(t *testing.T) {
	placed, refused := 0, 0
	for seed := range uint64(600) {
		w := randomCluster(t, rand.New(rand.NewPCG(seed, 4)))
		r := w.request()
		all := w.allowed(r)
		spots, err := w.state.Place(r)
		name := fmt.Sprintf("seed %d: %+v", seed, r)
		if err != nil {
			refused++
			require.Empty(t, all, "%s: %v", name, err)
			continue
		}
		placed++
		again, err := w.state.Place(r)
		require.NoError(t, err)
		require.Equal(t, spots, again, "deterministic: %s", name)
		nodes := make([]*Node, len(spots))
		for i, spot := range spots {
			nodes[i] = w.state.Nodes[spot.Node]
			require.False(t, slices.Contains(nodes[:i], nodes[i]), "two legs on a node: %s", name)
			require.Equal(t, w.best(nodes[i], r), spot.Store, "the emptiest store of its node: %s", name)
		}
		require.True(t, slices.ContainsFunc(all, func(other []*Node) bool { return sameNodes(other, nodes) }),
			"a rule is broken: %s", name)
		for _, other := range all {
			require.LessOrEqual(t, slices.Compare(shared(nodes), shared(other)), 0, "%s: %v is better than %v",
				name, names(other), names(nodes))
		}
		w.requireNoBetterSwap(nodes, all, r, name)
	}
	require.Greater(t, placed, 200)
	require.Greater(t, refused, 50)
}

// cluster is a random cluster with one volume in the way of others.
type cluster struct {
	*script
	rand   *rand.Rand
	nodes  []*Node
	stores map[volume.StoreID]StoreUse
}

func randomCluster(t *testing.T, r *rand.Rand) *cluster {
	w := &cluster{script: newScript(t), rand: r, stores: map[volume.StoreID]StoreUse{}}
	w.apply("init_cluster demo")
	zones, racks := r.IntN(4), r.IntN(3)
	for i := range 2 + r.IntN(6) {
		line := fmt.Sprintf("register n%d storage stores=s%d,t%d", i, i, i)
		if z := r.IntN(zones + 1); z > 0 {
			line += fmt.Sprintf(" zone=z%d", z)
		}
		if k := r.IntN(racks + 1); k > 0 {
			line += fmt.Sprintf(" rack=r%d", k)
		}
		w.apply(line)
	}
	w.apply("create old A@n0/s0 B@n1/t1 layout:mirror:2")
	if r.IntN(4) == 0 {
		w.apply("retire n1")
	}
	w.nodes = w.state.SortedNodes()
	for _, n := range w.nodes {
		for _, st := range n.Stores {
			use := StoreUse{Node: n.ID, Store: st.ID, TotalBytes: int64(1+r.IntN(4)) * 1000,
				NearlyFull: r.IntN(12) == 0}
			use.FreeBytes = int64(r.IntN(int(use.TotalBytes)))
			if r.IntN(12) == 0 {
				use.Error = "input/output error"
			}
			w.stores[st.ID] = use
		}
	}
	return w
}

func (w *cluster) request() PlaceRequest {
	r := PlaceRequest{Legs: 1 + w.rand.IntN(4), NeedBytes: int64(w.rand.IntN(900)),
		Spread: []Spread{SpreadAny, SpreadAny, SpreadNode, SpreadRack, SpreadZone}[w.rand.IntN(5)]}
	if w.rand.IntN(4) == 0 {
		r.Apart = []volume.ID{w.vol("old")}
	}
	dead := w.nodes[w.rand.IntN(len(w.nodes))].ID
	r.Live = func(id volume.NodeID) bool { return id != dead }
	for _, n := range w.nodes { // in an order of their own, so that the choice depends on none
		for _, st := range n.Stores {
			r.Stores = append(r.Stores, w.stores[st.ID])
		}
	}
	w.rand.Shuffle(len(r.Stores), func(i, j int) { r.Stores[i], r.Stores[j] = r.Stores[j], r.Stores[i] })
	return r
}

// best returns the store of a node that a leg should get, zero if none can take it.
func (w *cluster) best(n *Node, r PlaceRequest) (best volume.StoreID) {
	left := -1
	for _, st := range n.Stores {
		use := w.stores[st.ID]
		if use.Error == "" && !use.NearlyFull && use.FreeBytes >= r.NeedBytes && use.left(r.NeedBytes) > left {
			best, left = st.ID, use.left(r.NeedBytes)
		}
	}
	return best
}

// allowed returns all sets of nodes that the rules allow.
func (w *cluster) allowed(r PlaceRequest) [][]*Node {
	var fit []*Node
	for _, n := range w.nodes {
		apart := len(r.Apart) > 0 && (n.Name == "n0" || n.Name == "n1")
		known := r.Spread != SpreadZone && r.Spread != SpreadRack || r.Spread == SpreadZone && n.Location.Zone != "" ||
			r.Spread == SpreadRack && n.Location.Rack != ""
		if !n.Retiring && r.Live(n.ID) && !apart && known && w.best(n, r) != (volume.StoreID{}) {
			fit = append(fit, n)
		}
	}
	var out [][]*Node
	for set := range 1 << len(fit) {
		var nodes []*Node
		for i, n := range fit {
			if set>>i&1 == 1 {
				nodes = append(nodes, n)
			}
		}
		pairs := shared(nodes)
		broken := r.Spread == SpreadZone && pairs[0] > 0 || r.Spread == SpreadRack && pairs[1] > 0
		if len(nodes) == r.Legs && !broken {
			out = append(out, nodes)
		}
	}
	return out
}

// requireNoBetterSwap checks that no leg would be better elsewhere, the others staying.
func (w *cluster) requireNoBetterSwap(nodes []*Node, all [][]*Node, r PlaceRequest, name string) {
	w.t.Helper()
	legs := w.state.legsPerNode()
	rank := func(n *Node) []int {
		return []int{-w.stores[w.best(n, r)].left(r.NeedBytes), legs[n.ID]}
	}
	for _, other := range all {
		var gone, came []*Node
		for _, n := range nodes {
			if !slices.Contains(other, n) {
				gone = append(gone, n)
			}
		}
		for _, n := range other {
			if !slices.Contains(nodes, n) {
				came = append(came, n)
			}
		}
		if len(gone) == 1 && slices.Equal(shared(nodes), shared(other)) {
			require.LessOrEqual(w.t, slices.Compare(rank(gone[0]), rank(came[0])), 0,
				"%s: %s would be better than %s", name, came[0].Name, gone[0].Name)
		}
	}
}

// shared counts the pairs of nodes that share a zone, and those that share a rack.
func shared(nodes []*Node) []int {
	pairs := []int{0, 0}
	for i, a := range nodes {
		for _, b := range nodes[:i] {
			if a.Location.Zone == b.Location.Zone {
				pairs[0]++
				if a.Location.Rack == b.Location.Rack {
					pairs[1]++
				}
			}
		}
	}
	return pairs
}

func sameNodes(a, b []*Node) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(n *Node) bool { return !slices.Contains(b, n) })
}

func names(nodes []*Node) (out []string) {
	for _, n := range nodes {
		out = append(out, n.Name)
	}
	return out
}

// TestPlaceReplacement_keepsTheSpread replaces legs of well-placed volumes in random clusters: what is
// chosen, Apply takes, and the volume's legs share no more zones than the best place would make them.
func TestPlaceReplacement_keepsTheSpread(t *testing.T) {
	replaced := 0
	for seed := range uint64(600) {
		w := randomCluster(t, rand.New(rand.NewPCG(seed, 5)))
		r := w.request()
		spots, err := w.state.Place(r)
		if err != nil {
			continue
		}
		c := &CreateVolume{ID: w.vol("new"), Name: "new", SizeBytes: 1 << 20, Layout: volume.Mirror(r.Legs),
			DataGen: w.uuid("gen"), Spread: r.Spread, Apart: r.Apart}
		for i, spot := range spots {
			c.Legs = append(c.Legs, NewLeg{ID: w.leg(fmt.Sprint("L", i)), Node: spot.Node, Store: spot.Store, Slot: i})
		}
		require.Nil(t, w.state.Apply(Command{At: at(), CreateVolume: c}).Err, "seed %d", seed)
		for i := range spots {
			w.apply(fmt.Sprintf("provisioned new L%d", i))
		}
		old := c.Legs[w.rand.IntN(len(c.Legs))]
		dead := old.Node
		r.Live = func(id volume.NodeID) bool { return id != dead }
		spot, err := w.state.PlaceReplacement(c.ID, old.ID, r)
		if err != nil {
			continue
		}
		replaced++
		cmd := Command{At: at(), ReplaceLeg: &ReplaceLeg{Volume: c.ID, Old: old.ID,
			New: NewLeg{ID: w.leg("N"), Node: spot.Node, Store: spot.Store}}}
		require.Nil(t, w.state.Apply(cmd).Err, "seed %d: what is proposed is taken", seed)
		var others []*Node
		for _, l := range c.Legs {
			if l.ID != old.ID {
				others = append(others, w.state.Nodes[l.Node])
			}
		}
		r.Spread = SpreadAny
		got := shared(append(slices.Clone(others), w.state.Nodes[spot.Node]))
		for _, n := range w.nodes {
			fits := !n.Retiring && n.ID != dead && !slices.Contains(others, n) && w.best(n, r) != (volume.StoreID{}) &&
				!(len(r.Apart) > 0 && (n.Name == "n0" || n.Name == "n1"))
			known := c.Spread != SpreadZone || n.Location.Zone != ""
			known = known && (c.Spread != SpreadRack || n.Location.Rack != "")
			if fits && known {
				require.LessOrEqual(t, slices.Compare(got, shared(append(slices.Clone(others), n))), 0,
					"seed %d: %s is better", seed, n.Name)
			}
		}
	}
	require.Greater(t, replaced, 100)
}
