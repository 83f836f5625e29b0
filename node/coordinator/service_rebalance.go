package coordinator

import (
	"context"
	"strings"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// Rebalance wants legs moved and reports how far that is until there is nothing left to move. Whoever stops
// watching stops nothing.
func (s service) Rebalance(ctx context.Context, w api.Wait, emit func(api.Operation) error) error {
	cmd, err := reading(s, decideRebalance)
	if err != nil {
		return err
	}
	if cmd != nil {
		if _, err := s.propose(ctx, "cluster", *cmd); err != nil {
			return err
		}
	}
	begun := 0
	return s.watch(ctx, w, emit, func(v *control.View) (op api.Operation, err error) {
		op, begun = rebalanceOperation(v, begun)
		return op, nil
	})
}

// decideRebalance returns what is to be committed, nil if a rebalancing goes on already.
func decideRebalance(v *control.View) (*raft.Command, error) {
	if v.State.Rebalance != nil {
		return nil, nil
	}
	if why := v.Unfit(); why != "" {
		return nil, api.Errorf(api.CodeRefused, "cluster", "holdfast health says what is wrong and what happens next",
			"the cluster is not rebalanced while it is degraded: %s", why)
	}
	return &raft.Command{RequestRebalance: &raft.RequestRebalance{Request: volume.NewUUID()}}, nil
}

// rebalanceOperation says how far the rebalancing is. begun is how many moves it had begun when it was looked at
// last, for the words of its end.
func rebalanceOperation(v *control.View, begun int) (api.Operation, int) {
	op := api.Operation{Verb: "rebalance", Object: "cluster", State: api.OperationRunning, Progress: 1}
	moving, progress := v.Moving()
	if v.State.Rebalance == nil {
		op.LegsTotal, op.LegsDone = begun, begun-len(moving)
		op.State, op.Message = api.OperationDone, phrase("nothing is left to move; %d legs were moved", begun)
		if len(moving) > 0 {
			op.Message = "no more moves begin; " + strings.Join(moving, "; ")
		}
		return op, begun
	}
	begun = v.State.Rebalance.Moves
	left := len(v.Moves())
	op.LegsDone, op.LegsTotal = max(0, begun-len(moving)), begun+left
	if op.LegsTotal > 0 {
		op.Progress = (float64(op.LegsDone) + progress) / float64(op.LegsTotal)
	}
	switch why := v.Unfit(); {
	case len(moving) > 0:
		op.Message = strings.Join(moving, "; ")
	case why != "":
		op.Message = "nothing begins to move while anything is amiss: " + why
	default:
		op.Message = phrase("%d legs are to be moved", left)
	}
	return op, begun
}

// StopRebalance begins no more moves.
func (s service) StopRebalance(ctx context.Context) error {
	state, _ := s.raft.State()
	if state.Rebalance == nil {
		return nil
	}
	_, err := s.propose(ctx, "cluster", raft.Command{EndRebalance: &raft.EndRebalance{
		Request: state.Rebalance.Request, Reason: "stopped by an operator"}})
	return err
}
