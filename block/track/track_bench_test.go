package track

import (
	"testing"

	"github.com/holdfast-storage/holdfast/block"
)

// inline ends every request at once.
type inline struct{}

func (inline) Submit(r *block.Request) { r.Complete(r, nil) }

// BenchmarkTracker is what a write of the guest costs more for the tracker in front of the mirror.
func BenchmarkTracker(b *testing.B) {
	for name, m := range map[string]*Map{"idle": nil, "tracking": NewMap(1 << 30)} {
		b.Run(name, func(b *testing.B) {
			t := New(inline{})
			t.Track(m)
			r := &block.Request{Op: block.OpWrite, Range: block.Range{Off: 4096, Len: 4096},
				Complete: func(*block.Request, error) {}}
			b.ReportAllocs()
			for b.Loop() {
				t.Submit(r)
			}
		})
	}
}
