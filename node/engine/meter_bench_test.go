package engine

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

// BenchmarkMeter is what counting costs a request.
func BenchmarkMeter(b *testing.B) {
	k := &keeper{}
	m, err := newMeter(k, prometheus.NewRegistry())
	require.NoError(b, err)
	r := &block.Request{Op: block.OpWrite, Range: block.Range{Len: 4096}, Data: make([]byte, 4096),
		Complete: func(*block.Request, error) {}}
	b.ReportAllocs()
	for b.Loop() {
		m.Submit(r)
		k.answer(nil)
	}
}
