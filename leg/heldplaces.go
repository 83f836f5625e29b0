package leg

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/holdfast-storage/holdfast/block"
)

// heldPlaces are the places of the witness that stay taken after their change: it failed, and its blocks could not be
// given checksums again, as on a file system without room for one. The first checksum that is written for one of the
// blocks ends the place, since a place must name no block that matches: the others then count as damaged. The zero
// value is ready.
type heldPlaces struct {
	some atomic.Bool // whether there is any: what most writes look at

	mu     sync.Mutex
	places []heldPlace
}

type heldPlace struct {
	blocks block.Range
	place  int
}

func (h *heldPlaces) add(p heldPlace) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.places = append(h.places, p)
	h.some.Store(true)
}

// letGo ends the places that name a block of r, whose checksums were written.
func (h *heldPlaces) letGo(r block.Range, w *witness) {
	if !h.some.Load() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.places = slices.DeleteFunc(h.places, func(p heldPlace) bool {
		gone := p.blocks.Overlaps(r)
		if gone {
			w.end(p.place)
		}
		return gone
	})
	h.some.Store(len(h.places) > 0)
}
