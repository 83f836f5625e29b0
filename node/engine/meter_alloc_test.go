//go:build !race

package engine

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

// With the race detector a pool drops what it is given at random.
func TestMeter_allocatesNothing(t *testing.T) {
	k := &keeper{}
	m, err := newMeter(k, prometheus.NewRegistry())
	require.NoError(t, err)
	r := &block.Request{Op: block.OpWrite, Range: block.Range{Len: 8}, Data: make([]byte, 8),
		Complete: func(*block.Request, error) {}}
	least := 1.0
	for range 5 { // the pool may be emptied by the collector
		least = min(least, testing.AllocsPerRun(1000, func() {
			m.Submit(r)
			k.answer(nil)
		}))
	}
	require.Zero(t, least)
}
