package raft

import (
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// parseDrill reads the commands of drills.
func (s *script) parseDrill(c *Command, name string, w *words) bool {
	place := func() PlaceDomain {
		p := PlaceDomain{Takeover: true, Run: w.number("run"), Name: w.next(), Host: s.node(w.next())}
		for _, id := range w.list("attach") {
			p.Attach = append(p.Attach, s.attach(id))
		}
		return p
	}
	switch name {
	case "begin_drill": // DOMAIN HOST run=N attach=ID,… request=ID [back]
		c.BeginDrill = &BeginDrill{Request: s.uuid(w.keys["request"]), Back: w.flag("back"), Place: place()}
	case "return_drill": // DOMAIN HOST run=N attach=ID,… id=N
		c.ReturnDrill = &ReturnDrill{ID: w.number("id"), Place: place(),
			Was: []DrillCheck{{Name: "guest", OK: true, Detail: "it runs there"}}}
	case "end_drill": // ID RESULT
		w.keys["id"] = w.next()
		c.EndDrill = &EndDrill{ID: w.number("id"), Result: DrillResult(w.next()), Message: "a word",
			Checks: []DrillCheck{{Name: "legs", OK: true, Detail: "all are in sync"}}}
	default:
		return false
	}
	return true
}

// showDrills prints every drill that is remembered.
func (s *script) showDrills(out io.Writer) {
	for _, d := range s.state.Drills {
		fmt.Fprintf(out, "drill %d %s %s back=%t result=%q\n", d.ID, d.Kind, d.Object, d.Back, d.Result)
		for _, v := range d.Volumes {
			fmt.Fprintf(out, "  volume %s %d %s\n", v.Name, v.SizeBytes, v.Layout)
		}
		for _, m := range d.Moves {
			fmt.Fprintf(out, "  operation %d %s->%s run=%d waited=%t result=%q %s", m.Operation, m.From, m.To, m.Run,
				m.Waited, m.Result, m.Message)
			for _, stage := range m.Stages {
				fmt.Fprintf(out, " %s=%s", stage.Name, stage.At)
			}
			fmt.Fprintln(out)
		}
		for _, c := range d.Checks {
			fmt.Fprintf(out, "  check %s ok=%t: %s\n", c.Name, c.OK, c.Detail)
		}
	}
}

// The latest drill of each object outlives older ones of others: it says when something was last shown to work.
func TestDrills_theLatestOfEachObjectIsForgottenLast(t *testing.T) {
	state := NewState()
	add := func(object string, result DrillResult) {
		state.LastDrill++
		state.Drills = append(state.Drills, &Drill{ID: state.LastDrill, Object: object, Result: result})
	}
	add("domain/rare", DrillOK)
	add("domain/broken", DrillSlow)
	add("domain/broken", DrillFailed)
	for range DrillsMax {
		add("domain/often", DrillOK)
	}
	add("domain/now", DrillRuns)
	(&txn{state: state}).trimDrills()
	require.Len(t, state.Drills, DrillsMax)
	require.NotNil(t, state.DrillOf("domain/rare"))
	require.NotNil(t, state.DrillOf("domain/now"))
	require.NotNil(t, state.DrillByID(2), "it worked then")
	require.NotNil(t, state.DrillByID(3), "it did not work last")
	require.Nil(t, state.DrillByID(4), "the oldest that is not the latest of its object went")

	state.Drills = nil
	for i := range 2 * DrillsMax {
		add(fmt.Sprintf("domain/d%d", i), DrillOK)
	}
	(&txn{state: state}).trimDrills()
	require.Len(t, state.Drills, DrillsMax)
	require.True(t, slices.IsSortedFunc(state.Drills, func(a, b *Drill) int { return int(a.ID) - int(b.ID) }))
	require.Equal(t, state.LastDrill, state.Drills[DrillsMax-1].ID)
}
