package leg

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Every situation that can be matches exactly one row, and every row is needed.
func TestLoginTable_isTotal(t *testing.T) {
	used := map[Decision]bool{}
	for bits := range 1 << 6 {
		s := situation{
			failed: bits&1 != 0, older: bits&2 != 0, newer: bits&4 != 0,
			sameAttach: bits&8 != 0, closed: bits&16 != 0, sameISID: bits&32 != 0,
		}
		if s.older && s.newer {
			continue // no epoch is both
		}
		var matched []Decision
		for _, row := range loginTable() {
			if row.matches(s) {
				matched = append(matched, row.decision)
			}
		}
		require.Len(t, matched, 1, "%+v", s)
		require.Equal(t, matched[0], decideLogin(s))
		require.NotEqual(t, "unknown decision", matched[0].String())
		used[matched[0]] = true
		// What must hold whatever the table says:
		if s.older {
			require.True(t, matched[0].Refuses(), "an older epoch never gets in: %+v", s)
		}
		if !matched[0].Refuses() && !s.newer {
			require.True(t, s.sameAttach && !s.closed,
				"an epoch has one attachment, until it is spent: %+v", s)
		}
	}
	require.Len(t, used, len(loginTable()))
}
