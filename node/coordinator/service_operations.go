package coordinator

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
)

// Operation shows one operation.
func (s service) Operation(ctx context.Context, id string) (api.Operation, error) {
	all, err := s.Operations(ctx)
	if err != nil {
		return api.Operation{}, err
	}
	i := slices.IndexFunc(all, func(o api.Operation) bool { return o.ID == id })
	if i < 0 {
		return api.Operation{}, api.Errorf(api.CodeNotFound, "operation/"+id,
			"holdfast operation list shows those that are remembered", "there is no operation %s", id)
	}
	return all[i], nil
}

// workID names work that is computed from the state, and so has no number.
func workID(o api.Operation) string { return o.Verb + "-" + strings.ReplaceAll(o.Object, "/", "-") }

// failovers lists the failovers that run and those that are remembered, oldest first.
func failovers(v *control.View) []api.Operation {
	var out []api.Operation
	for _, o := range v.State.Operations {
		out = append(out, showFailover(v, o))
	}
	return out
}

// runningFailover returns the id of the failover that moves a domain now, "" if none does.
func runningFailover(s *raft.State, domain string) string {
	if o := s.OperationOf("domain/" + domain); o != nil {
		return strconv.FormatUint(o.ID, 10)
	}
	return ""
}

func showFailover(v *control.View, o *raft.Operation) api.Operation {
	progress := v.Progress(o)
	f := &api.Failover{
		From: o.From, To: o.To, Reason: o.Reason, StartedAt: o.At, Waits: progress.Waits,
		Volumes: []api.FailoverVolume{}, Stages: []api.Stage{},
	}
	for _, g := range o.Grants {
		f.Volumes = append(f.Volumes, api.FailoverVolume{Name: g.Name, Epoch: uint64(g.Epoch), TRead: g.TRead})
	}
	for _, stage := range progress.Stages {
		f.Stages = append(f.Stages, api.Stage{Name: stage.Name, Seconds: stage.At.Seconds()})
		f.TotalSeconds = max(f.TotalSeconds, stage.At.Seconds())
	}
	if silent, ok := raft.StageAt(progress.Stages, raft.StageSilent); ok {
		f.TotalSeconds -= silent.Seconds()
	}
	out := api.Operation{
		ID: strconv.FormatUint(o.ID, 10), Verb: o.Kind, Object: o.Object, Failover: f,
		State:   string(cmp.Or(o.Result, raft.OperationResult(api.OperationRunning))),
		Message: phrase("%s moves from %s to %s", o.Object, o.From, o.To),
	}
	switch {
	case o.Running() && progress.Waits != "":
		out.Message += ": waits for " + progress.Waits
	case o.Result == raft.OperationDone:
		out.Progress, out.Message = 1, phrase("%s has moved from %s to %s", o.Object, o.From, o.To)
	case !o.Running():
		out.Message = phrase("the move of %s from %s to %s is %s: %s", o.Object, o.From, o.To, o.Result, o.Message)
	}
	return out
}
