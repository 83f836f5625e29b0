package control

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStepOfMigration_everyCombination is the table of what becomes of a migration, for every set of facts.
func TestStepOfMigration_everyCombination(t *testing.T) {
	for bits := range 1 << 6 {
		set := func(i int) bool { return bits&(1<<i) != 0 }
		f := migrationFacts{switched: set(0), fromDead: set(1), toGone: set(2), late: set(3), free: set(4),
			held: set(5)}
		step := stepOfMigration(f)
		if !f.switched {
			// Nothing is taken from the old host, whatever happens, and the guest is not left between two hosts.
			require.Contains(t, []migrationStep{migrationWaits, migrationGives}, step, "%+v", f)
			require.Equal(t, f.fromDead || f.toGone || f.late, step == migrationGives, "%+v", f)
			continue
		}
		// There is no way back, and it never waits for a host that is dead, or for ever.
		require.NotEqual(t, migrationGives, step, "%+v", f)
		require.Equal(t, !f.free && !f.held, step == migrationEnds, "%+v", f)
		require.Equal(t, f.held && (f.fromDead || f.late), step == migrationTake, "%+v", f)
		if step == migrationWaits {
			require.True(t, f.held && !f.fromDead && !f.late && !f.free, "%+v", f)
		}
	}
}
