package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
)

// played is a cluster whose operations and events a test sets.
type played struct {
	operations []api.Operation
	events     []api.Event
}

func (p *played) Operations(context.Context) ([]api.Operation, error) {
	if p.operations == nil {
		return nil, errors.New("nobody answers")
	}
	return p.operations, nil
}

func (p *played) Events(_ context.Context, _ uint64, _ bool, each func(api.Event) error) error {
	for _, e := range p.events {
		if err := each(e); err != nil {
			return err
		}
	}
	return nil
}

func TestFollower_everyOperationHasALastLine(t *testing.T) {
	p := &played{}
	var printed []string
	f := &follower{from: p, running: true, last: map[string]string{}, open: map[string]api.Operation{},
		print: func(o api.Operation) error {
			printed = append(printed, fmt.Sprintf("%s %s %.0f%% %s", o.ID, o.State, 100*o.Progress, o.Message))
			return nil
		}}
	look := func(want ...string) {
		t.Helper()
		require.NoError(t, f.look(t.Context()))
		require.Equal(t, want, printed)
		printed = nil
	}
	op := func(verb, object, state string, progress float64) api.Operation {
		return api.Operation{ID: verb + "-" + object, Verb: verb, Object: object, State: state, Progress: progress,
			Message: "as it was"}
	}
	require.ErrorContains(t, f.look(t.Context()), "nobody")
	p.operations = []api.Operation{op("drain", "node/n1", "running", 0.2), op("drain", "node/n2", "running", 0.5),
		op("drain", "node/n5", "done", 1), op("remove", "node/n3", "running", 0.1),
		op("scrub", "volume/v1", "running", 0), op("failover", "domain/d1", "running", 0),
		op("rebalance", "cluster", "running", 0.5)}
	look("drain-node/n1 running 20% as it was", "drain-node/n2 running 50% as it was",
		"remove-node/n3 running 10% as it was", "scrub-volume/v1 running 0% as it was",
		"failover-domain/d1 running 0% as it was", "rebalance-cluster running 50% as it was")
	look()
	// A failover that is over is remembered and listed, a node that was drained as well; the others are gone.
	p.operations = []api.Operation{op("failover", "domain/d1", "done", 1), op("drain", "node/n1", "done", 1),
		op("drain", "node/n5", "done", 1)}
	p.events = []api.Event{
		{Object: "node/n2", Kind: "node_removed", Message: "an n2 of before left the cluster"},
		{Object: "node/n2", Kind: "node_draining", Message: "n2 is being emptied"},
		{Object: "node/n2", Kind: "node_kept", Message: "n2 is used again"},
		{Object: "node/n3", Kind: "node_removed", Message: "n3 left the cluster"},
		{Object: "volume/v2", Kind: "scrub_done", Message: "another volume was scrubbed"},
		{Object: "cluster", Kind: "rebalance_ended", Message: "no more legs are moved; 3 were"},
	}
	look("failover-domain/d1 done 100% as it was", "drain-node/n1 done 100% as it was",
		"drain-node/n2 cancelled 50% n2 is used again",
		"rebalance-cluster done 100% no more legs are moved; 3 were",
		"remove-node/n3 done 100% n3 left the cluster",
		"scrub-volume/v1 ended 0% volume/v1 is not worked on any more: holdfast events tells why")
	look()
	p.operations = append(p.operations, op("drain", "node/n2", "running", 0.5))
	look("drain-node/n2 running 50% as it was")

	// Without --running, what was over before is printed once.
	f.running = false
	look("drain-node/n5 done 100% as it was")
	look()
}
