package control

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
)

// findOperation returns the operation of a number, nil if none of it is remembered.
func findOperation(s *raft.State, name string) *raft.Operation {
	id, err := strconv.ParseUint(name, 10, 64)
	if err != nil {
		return nil
	}
	return s.OperationByID(id)
}

// operation explains a failover: how far it is, what it waits for, and why that takes its time.
func (w *explainer) operation(o *raft.Operation) Reason {
	p := w.Progress(o)
	move := sprintf("operation %d, the %s of %s from %s to %s (%s)", o.ID, o.Kind, o.Object, o.From, o.To, o.Reason)
	says := sprintf("%s is %s", move, o.Result)
	if o.Running() {
		says = move + " is under way"
	}
	r, first := w.once(operationObject(o), says+stagesSay(p.Stages))
	if !first {
		return r
	}
	r.Since = o.At
	if !o.Running() {
		if o.Message != "" {
			r.Says += ": " + o.Message
		}
		return r
	}
	r.Status = Down // the guest waits for it
	r.Next = "it goes on by itself, whoever leads"
	if p.Waits != "" {
		r.Says += "; it waits for " + p.Waits
	}
	r.Timers = w.operationTimers(o)
	for _, vol := range w.granted(o) {
		if e := w.engine(vol); e == nil || !e.State.Serves() {
			r.Because = append(r.Because, w.volume(vol))
		}
	}
	if d := w.State.Domains[o.Domain]; d != nil && d.Run == o.Run {
		r.Because = append(r.Because, w.domain(d))
	}
	return r.settled()
}

// granted returns the volumes that an operation was granted, and has still.
func (v *View) granted(o *raft.Operation) []*raft.Volume {
	var all []*raft.Volume
	for _, g := range o.Grants {
		if vol := v.State.Volumes[g.Volume]; vol != nil && vol.Epoch == g.Epoch {
			all = append(all, vol)
		}
	}
	return all
}

// operationTimers are the clocks that an operation waits for.
func (w *explainer) operationTimers(o *raft.Operation) []Timer {
	var all []Timer
	for _, vol := range w.granted(o) {
		all = append(all, w.attachTimers(vol)...)
	}
	return all
}

func operationObject(o *raft.Operation) string { return sprintf("operation/%d", o.ID) }

// underWay tells of the operation that moves an object now.
func (w *explainer) underWay(object string) []Reason {
	o := w.State.OperationOf(object)
	if o == nil || w.seen[operationObject(o)] {
		return nil
	}
	p := w.Progress(o)
	r := Reason{Object: operationObject(o), Status: Healthy, Since: o.At,
		Says:   sprintf("a %s from %s to %s is under way%s", o.Kind, o.From, o.To, stagesSay(p.Stages)),
		Timers: w.operationTimers(o)}
	if p.Waits != "" {
		r.Says += "; it waits for " + p.Waits
	}
	return []Reason{r.settled()}
}

// stagesSay lists the stages that were reached, as the end of a sentence.
func stagesSay(stages []raft.OperationStage) string {
	if len(stages) == 0 {
		return ""
	}
	words := make([]string, len(stages))
	for i, s := range slices.SortedStableFunc(slices.Values(stages), func(a, b raft.OperationStage) int {
		return int(a.At - b.At)
	}) {
		words[i] = sprintf("%s at %s", s.Name, s.At.Round(time.Millisecond))
	}
	return " (" + strings.Join(words, ", ") + ")"
}
