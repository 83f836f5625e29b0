package control

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
)

// drillVerb executes the lines about drills.
func (w *world) drillVerb(words []string, arg func(int) string) bool {
	w.t.Helper()
	switch words[0] {
	case "drill": // drill DOMAIN HOST [back]
		w.must(w.view().BeginDrill(w.state.Domains[arg(1)], w.node(arg(2)).ID, len(words) > 3, w.newID()))
	case "fault": // fault DOMAIN HOST WORDS…: why the guest could not be started there
		w.domains[arg(2)][arg(1)].Error = strings.Join(words[3:], " ")
	case "lossy": // lossy VOLUME: it went on from what was flushed
		w.state.LastSeq++
		w.state.Events = append(w.state.Events, raft.Event{Seq: w.state.LastSeq, Object: "volume/" + arg(1),
			Kind: "unflushed_loss", Message: "volume " + arg(1) + " goes on from what was flushed"})
	default:
		return false
	}
	return true
}

// drills prints every drill: its moves, its checks, what it waits for.
func (w *world) drills() string {
	var out strings.Builder
	for _, d := range w.state.Drills {
		fmt.Fprintf(&out, "%d %s %q %s\n", d.ID, d.Object, d.Result, d.Message)
		for _, m := range d.Moves {
			fmt.Fprintf(&out, "  %s->%s %q:%s\n", m.From, m.To, m.Result, stageText(m.Stages))
		}
		for _, c := range d.Checks {
			fmt.Fprintf(&out, "  %s %t: %s\n", c.Name, c.OK, c.Detail)
		}
		if waits := w.view().DrillWaits(d); waits != "" {
			fmt.Fprintf(&out, "  waits for: %s\n", waits)
		}
	}
	return out.String()
}

// unfit says why a domain is not moved for a drill now: DOMAIN, or DOMAIN HOST [back] for a drill that goes there.
func (w *world) unfit(line string) string {
	words := strings.Fields(line)
	d := w.state.Domains[words[0]]
	why := w.view().UnfitForDrill(d)
	if why == "" && len(words) > 1 {
		why = w.view().UnfitHostForDrill(d, w.node(words[1]).ID, len(words) > 2)
	}
	return cmp.Or(why, "nothing is amiss")
}

// What is promised grows with T_read when that was waited for, and only then.
func TestDrillBounds(t *testing.T) {
	for name, x := range map[string]struct {
		move             raft.DrillMove
		firstRead, total time.Duration
	}{
		"every leg answered": {raft.DrillMove{ReadFor: 10 * time.Second}, time.Second, 5 * time.Second},
		"the default":        {raft.DrillMove{Waited: true}, 3500 * time.Millisecond, 8 * time.Second},
		"a longer one": {raft.DrillMove{Waited: true, ReadFor: 4 * time.Second}, 6 * time.Second,
			10500 * time.Millisecond},
	} {
		firstRead, total := DrillBounds(x.move)
		require.Equal(t, x.firstRead, firstRead, name)
		require.Equal(t, x.total, total, name)
	}
}
