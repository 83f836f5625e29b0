package mirror

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestParity_noAckWithoutALeg: a write of which no leg of Q is left is stored nowhere, whatever the others say.
func TestParity_noAckWithoutALeg(t *testing.T) {
	s := &script{}
	legs := []string{"a", "b", "c"}
	s.begin(legs, nil, nil, []string{"2+1"})
	s.serve(legs, nil)
	o := &op{kind: opWrite, targets: only(0).with(2)}
	require.False(t, s.core.lay.stored(s.core, o))
	o.answered = o.targets
	require.True(t, s.core.lay.stored(s.core, o))
	o.targets = 0
	require.False(t, s.core.lay.stored(s.core, o))
}
