package mirror

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLegStatesAreInTheDesign: the tables of states and transitions stand in DESIGN.md word for word.
func TestLegStatesAreInTheDesign(t *testing.T) {
	design, err := os.ReadFile("DESIGN.md")
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString("| state | ack_set | wo_set | read_set |\n|---|---|---|---|\n")
	yes := map[bool]string{true: "yes", false: ""}
	for _, s := range legStates {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", s.name, yes[s.ack], yes[s.wo], yes[s.read])
	}
	require.Contains(t, string(design), b.String())
	b.Reset()
	b.WriteString("| from | to | because |\n|---|---|---|\n")
	for _, x := range legTransitions {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", x.from, x.to, x.why)
	}
	require.Contains(t, string(design), b.String())
}

// TestLegTransitions: every state can be reached and left, no pair stands twice, and acks never stop
// needing a leg that raft may have in sync without a committed removal.
func TestLegTransitions(t *testing.T) {
	into, out := map[LegState]bool{}, map[LegState]bool{}
	seen := map[[2]LegState]bool{}
	for _, x := range legTransitions {
		pair := [2]LegState{x.from, x.to}
		require.False(t, seen[pair], "%s to %s stands twice", x.from, x.to)
		seen[pair] = true
		into[x.to], out[x.from] = true, true
		if x.from >= LegAdding && x.from != LegRemoved {
			require.True(t, legStates[x.to].ack, "%s to %s drops a leg from ack_set", x.from, x.to)
		}
	}
	for s := LegOutside; s < legStateCount; s++ {
		require.True(t, into[s] && out[s], "state %s", s)
		require.False(t, legStates[s].ack && legStates[s].wo, "state %s", s)
		require.True(t, !legStates[s].read || legStates[s].ack, "read_set ⊆ ack_set: %s", s)
	}
	require.False(t, legalTransition(LegInSync, LegOutside))
}

// TestIllegalTransitionStopsTheEngine: a state that must not be is not acted upon.
func TestIllegalTransitionStopsTheEngine(t *testing.T) {
	w := newSimWorld(3, 2, 2, 0)
	w.calm = true
	h := w.newHost()
	w.runUntil(w.now + 1e9)
	require.True(t, h.serving)
	h.core.enter(0, LegOutside, "a bug")
	require.ErrorIs(t, h.core.stop, ErrBug)
	require.Empty(t, h.core.Step(w.now, &Event{Kind: EventTick}, nil))
	require.Zero(t, h.core.Deadline())
}

func TestRuleNames(t *testing.T) {
	require.Len(t, RuleNames(), int(len(ruleNames)))
	require.Equal(t, breakEnd, Rules(1)<<len(ruleNames))
	seen := map[Rules]bool{}
	for _, n := range RuleNames() {
		r, ok := RuleByName(n)
		require.True(t, ok)
		require.False(t, seen[r])
		seen[r] = true
	}
	_, ok := RuleByName("noSuchRule")
	require.False(t, ok)
}
