package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/api"
)

// followEvery is how often a list that is followed is asked for.
const followEvery = 500 * time.Millisecond

// operationSource is what a follower asks.
type operationSource interface {
	Operations(ctx context.Context) ([]api.Operation, error)
	Events(ctx context.Context, after uint64, follow bool, each func(api.Event) error) error
}

// follower prints each operation again whenever its state, its progress or a stage has changed, and how it ended.
type follower struct {
	from    operationSource
	print   func(api.Operation) error
	running bool                     // only what runs, and how that ends
	last    map[string]string        // what was printed of each, by its ID
	open    map[string]api.Operation // those that ran when they were printed last
}

// followOperations follows until ctx ends. JSON is one object a line.
func followOperations(ctx context.Context, from operationSource, w io.Writer, out *output, running bool) error {
	f := &follower{from: from, running: running, last: map[string]string{}, open: map[string]api.Operation{}}
	f.print = func(o api.Operation) error {
		if out.json() {
			return json.NewEncoder(w).Encode(o)
		}
		_, err := fmt.Fprintf(w, "%s  %-6s %-10s %s\n", time.Now().Format(time.TimeOnly), o.ID, o.State, o.Message)
		return err
	}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		if err := f.look(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look asks once and prints what is new.
func (f *follower) look(ctx context.Context) error {
	all, err := f.from.Operations(ctx)
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, o := range all {
		listed[o.ID] = true
		if _, ran := f.open[o.ID]; f.running && !ran && o.State != api.OperationRunning {
			continue
		}
		if err := f.show(o); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(f.open)) {
		if listed[id] {
			continue
		}
		end, err := f.ending(ctx, f.open[id])
		if err != nil {
			return err
		}
		if err := f.show(end); err != nil {
			return err
		}
		delete(f.last, id) // the next one of the same name is another
	}
	return nil
}

// show prints an operation unless it is as it was printed last.
func (f *follower) show(o api.Operation) error {
	key := fmt.Sprint(o.State, int(100*o.Progress))
	if o.Failover != nil {
		key = fmt.Sprint(o.State, len(o.Failover.Stages))
	}
	if f.last[o.ID] == key {
		return nil
	}
	f.last[o.ID] = key
	delete(f.open, o.ID)
	if o.State == api.OperationRunning {
		f.open[o.ID] = o
	}
	return f.print(o)
}

// operationEnded is the state of an operation that is over, of which nothing tells how.
const operationEnded = "ended"

// ending returns an operation that is listed no more as it ended. The coordinators list what goes on, and remember
// the rest as events.
func (f *follower) ending(ctx context.Context, o api.Operation) (api.Operation, error) {
	o.State, o.Message = operationEnded, o.Object+" is not worked on any more: holdfast events tells why"
	err := f.from.Events(ctx, 0, false, func(e api.Event) error {
		if state := endOf(o.Verb, e.Kind); state != "" && e.Object == o.Object {
			o.State, o.Message = state, e.Message
		}
		return nil
	})
	if o.State == api.OperationDone {
		o.Progress, o.LegsDone, o.DoneBytes = 1, o.LegsTotal, o.CopyBytes
	}
	return o, err
}

// endOf returns the state in which an event of a kind leaves an operation about the same object, "" if it does not
// end it.
func endOf(verb, event string) string {
	switch verb + " " + event {
	case "replace node_removed", "remove node_removed", "drain node_removed", "scrub scrub_done",
		"rebalance rebalance_ended", "clone clone_cut":
		return api.OperationDone
	case "replace node_kept", "remove node_kept", "drain node_kept", "scrub scrub_stopped", "scrub volume_deleted",
		"clone volume_deleted":
		return api.OperationCancelled
	}
	return ""
}
