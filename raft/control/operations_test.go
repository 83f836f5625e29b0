package control

import (
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// operationVerb executes the lines about failovers.
func (w *world) operationVerb(words []string, arg func(int) string) bool {
	w.t.Helper()
	switch words[0] {
	case "takeover": // takeover VOLUME HOST
		v := w.volume(arg(1))
		w.must(raft.Command{BeginAttach: &raft.BeginAttach{Volume: v.ID, Host: w.node(arg(2)).ID,
			AttachID: volume.AttachID{UUID: w.newID()}, Takeover: true, Reason: "a script"}})
	case "reads": // reads VOLUME: its guest gets its first answer
		e := *w.running[arg(1)]
		e.Stages = append(e.Stages, Stage{raft.StageFirstRead, w.now.Sub(e.Began)})
		w.running[arg(1)] = &e
		w.beat()
	case "fence": // fence VOLUME NODE: the engine connects, and has logged in there
		v := w.volume(arg(1))
		w.engine(arg(1), EngineConnecting, "logging in to the legs")
		w.fence(v, w.leg(v, arg(2)))
		w.beat()
	case "new-leader": // which has heard nothing yet
		w.facts = NewFacts()
	case "raise": // the cluster version, below which there are no operations
		w.must(raft.Command{RaiseVersion: &raft.RaiseVersion{To: raft.VersionLatest}})
	default:
		return false
	}
	return true
}

// operations prints how far every operation is.
func (w *world) operations() string {
	var out strings.Builder
	for _, o := range w.state.Operations {
		p := w.view().Progress(o)
		require.Equal(w.t, !o.Running(), p.Done, "what is done was ended")
		fmt.Fprintf(&out, "%d %s %s %s->%s %q:%s\n", o.ID, o.Kind, o.Object, o.From, o.To, o.Result,
			stageText(p.Stages))
		if p.Waits != "" {
			fmt.Fprintf(&out, "  waits for %s\n", p.Waits)
		}
	}
	return out.String()
}

func stageText(stages []raft.OperationStage) string {
	var text string
	for _, s := range stages {
		text += fmt.Sprintf(" %s=%s", s.Name, s.At)
	}
	return text
}
