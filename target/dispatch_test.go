package target

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A command that waits for a disk, such as a commit, must not send those to a worker that have its opcode in common
// with it and nothing else; and what is told apart is of the same kind as itself alone.
func TestQuickness_actionsOfAVendorAreApart(t *testing.T) {
	var q quickness
	stage, commit := kindOf([]byte{0xC0, 0x10}), kindOf([]byte{0xC0, 0x12})
	for range 50 {
		q.learn(stage, 20*time.Microsecond)
		q.learn(commit, 30*time.Millisecond)
	}
	require.True(t, q.inline(stage))
	require.False(t, q.inline(commit))
	require.False(t, q.inline(kindOf([]byte{0xC0, 0x14})), "not seen yet")
	for range 50 {
		q.learn(stage, 30*time.Millisecond)
	}
	require.False(t, q.inline(stage))
}

func TestKindOf(t *testing.T) {
	seen := map[kind][]byte{}
	for opcode := range 256 {
		for action := range 256 {
			cdb := []byte{byte(opcode), byte(action), 0, 0, 0, 0}
			k := kindOf(cdb)
			require.Less(t, int(k), len(quickness{}))
			other := seen[k]
			if other == nil {
				seen[k] = cdb
				continue
			}
			same := other[0] == cdb[0] && other[0] < firstVendorOpcode ||
				other[0] >= firstVendorOpcode && cdb[0] >= firstVendorOpcode && other[1]%32 == cdb[1]%32
			require.True(t, same, "%x and %x", other, cdb)
		}
	}
	require.Len(t, seen, firstVendorOpcode+32)
	require.Equal(t, kind(0x8A), kindOf([]byte{0x8A}))
}
