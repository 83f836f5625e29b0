package iscsi

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Every opcode has a name, and no header makes Describe fail.
func TestDescribe(t *testing.T) {
	for op := range Opcode(0x40) {
		for _, fill := range []byte{0, 0xff} {
			var h BHS
			for i := range h {
				h[i] = fill
			}
			h[0] = byte(op)
			require.Contains(t, h.Describe(), op.String())
		}
	}
	require.Equal(t, "opcode 0x3e", Opcode(0x3e).String())
	var h BHS
	(&R2T{ITT: 1, TTT: 2, R2TSN: 3, BufferOffset: 4096, DesiredDataTransferLength: 512}).Encode(&h)
	require.Equal(t, "R2T final itt=0x1 ttt=0x2 r2tsn=3 offset=4096 wants=512 statsn=0 expcmdsn=0 maxcmdsn=0",
		h.Describe())
}
