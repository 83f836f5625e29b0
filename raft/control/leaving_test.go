package control

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStepOfLeaving_everyCombination is the table of what happens to a guest whose host is being emptied.
func TestStepOfLeaving_everyCombination(t *testing.T) {
	for bits := range 1 << 4 {
		for tried := range leavingTries + 2 {
			set := func(i int) bool { return bits&(1<<i) != 0 }
			f := leavingFacts{moves: set(0), taker: set(1), movable: set(2), crowded: set(3), tried: tried}
			step := stepOfLeaving(f)
			if f.moves || !f.taker {
				require.Equal(t, leavingWaits, step, "%+v", f)
				continue
			}
			// A host is emptied: nobody waits for ever for a migration that does not come about.
			require.Equal(t, !f.movable || tried >= leavingTries, step == leavingRestarts, "%+v", f)
			require.Equal(t, f.movable && tried < leavingTries && !f.crowded, step == leavingMigrates, "%+v", f)
		}
	}
}
