package coordinator

import (
	"context"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// SetNode changes what is known of a node. It moves nothing.
func (s service) SetNode(ctx context.Context, name string, r api.SetNode) (api.Node, error) {
	state, _ := s.raft.State()
	n, err := findNode(state, name)
	if err != nil {
		return api.Node{}, err
	}
	object := "node/" + n.Name
	if r.Zone == nil && r.Rack == nil {
		return api.Node{}, api.Errorf(api.CodeInvalid, object, "name a zone, a rack or both",
			"node %s: nothing is to be changed", n.Name)
	}
	cmd := raft.Command{SetLocation: &raft.SetLocation{Node: n.ID, Zone: r.Zone, Rack: r.Rack}}
	if _, err := s.propose(ctx, object, cmd); err != nil {
		return api.Node{}, err
	}
	shown, err := s.Node(ctx, n.ID.String())
	return shown.Node, err
}

// SetCluster changes settings of the cluster. It moves nothing.
func (s service) SetCluster(ctx context.Context, r api.SetCluster) (api.Cluster, error) {
	cmd := raft.Command{SetCluster: &raft.SetCluster{OverProvision: r.OverProvision}}
	if _, err := s.propose(ctx, "cluster", cmd); err != nil {
		return api.Cluster{}, err
	}
	return s.Cluster(ctx)
}

// demands puts what a request demands of the places of the legs into the command.
func demands(v *control.View, r api.CreateVolume, cmd *raft.CreateVolume) error {
	cmd.Spread = raft.Spread(r.Spread)
	if err := cmd.Spread.Check(); err != nil {
		return api.Errorf(api.CodeInvalid, "volume/"+r.Name, "", "volume %s: %s", r.Name, err)
	}
	for _, name := range r.ApartFrom {
		other, err := findVolume(v.State, name)
		if err != nil {
			return err
		}
		cmd.Apart = append(cmd.Apart, other.ID)
	}
	return nil
}

// placeLegs finds places for the legs of a new volume.
func placeLegs(v *control.View, r api.CreateVolume, cmd *raft.CreateVolume) ([]raft.Spot, error) {
	spots, err := v.State.Place(raft.PlaceRequest{
		Legs: cmd.Layout.Legs(), NeedBytes: cmd.Layout.StoreBytes(r.SizeBytes), On: r.LegsOn,
		Stores: v.Stores(), Spread: cmd.Spread, Apart: cmd.Apart,
		Live: func(n volume.NodeID) bool { return v.Condition(n) != raft.NodeDead },
	})
	if err == nil {
		return spots, nil
	}
	hint, demanded := "add or start storage nodes, or choose a smaller layout", ""
	if len(r.LegsOn) > 0 {
		hint = "name other nodes, or none to have them chosen; holdfast node list shows them"
	}
	if cmd.Spread != raft.SpreadAny {
		demanded = " with --spread " + r.Spread
	}
	return nil, api.Errorf(api.CodeFailed, "volume/"+r.Name, hint, "volume %s (%s)%s: %s", r.Name, cmd.Layout,
		demanded, err)
}

// promisable returns how much a store may still promise to new legs, in bytes.
func promisable(v *control.View, node volume.NodeID, store volume.StoreID) int64 {
	for _, use := range v.Stores() {
		if use.Node == node && use.Store == store && use.Error == "" && !use.NearlyFull {
			return use.FreeBytes
		}
	}
	return 0
}
