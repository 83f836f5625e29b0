package main

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block/memdev"
)

func TestContent_isWhereItIsSaid(t *testing.T) {
	const size = 1 << 20
	for _, c := range contents() {
		d, err := memdev.New(memdev.Options{SizeBytes: size})
		require.NoError(t, err)
		require.NoError(t, c.write(context.Background(), d))
		data := make([]byte, size)
		require.NoError(t, d.Read(context.Background(), data, 0))
		for at := 0; at < size; at += 4 << 10 {
			zero := bytes.Count(data[at:at+4<<10], []byte{0}) == 4<<10
			want := c.piece == 0 || int64(at)%c.every >= c.piece
			require.Equal(t, want, zero, "%s at %d", c.name, at)
		}
	}
}

func TestInTurn_endsWithTheFirstFailure(t *testing.T) {
	bad := errors.New("bad")
	require.ErrorIs(t, inTurn(1000, func(i int64) error {
		if i == 3 {
			return bad
		}
		return nil
	}), bad)
	require.NoError(t, inTurn(0, func(int64) error { return bad }))
}
