package mirror

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

// TestJoin_asManyLegsAsARecordNames: a joining leg gets records, so it counts among the legs that they name. Legs would
// refuse a record that names more, all of them.
func TestJoin_asManyLegsAsARecordNames(t *testing.T) {
	s := &script{}
	legs := strings.Split("abcdefghijklmnop", "")
	s.begin(legs, []string{"q"}, nil, []string{"8+3"})
	s.serve(legs, nil)
	s.up("q", false, false)
	require.NotContains(t, s.pending, "RecordFence@q")
	s.step(&Event{Kind: EventGuest, Op: block.OpWrite, Range: block.Range{Len: 8 * 16 << 10}, Guest: "w1", Data: "x"})
	x := s.pending["w1@a"]
	require.NoError(t, x.Record(s.layout).Check())
}
