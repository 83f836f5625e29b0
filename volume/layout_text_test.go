package volume

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLayout_text: what is marshalled is read back, also where no layout is known, as in the order to
// delete a leg of a volume that is gone.
func TestLayout_text(t *testing.T) {
	for _, l := range []Layout{{}, Mirror(1), Mirror(3), Parity(4, 2),
		{Kind: KindParity, Data: 8, Extra: 3, Chunk: 4096}} {
		text, err := json.Marshal(l)
		require.NoError(t, err)
		var back Layout
		require.NoError(t, json.Unmarshal(text, &back), string(text))
		require.Equal(t, l, back)
	}
}
