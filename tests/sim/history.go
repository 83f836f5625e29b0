package sim

import (
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// operation is what one request of a guest did to one block.
type operation struct {
	write   bool
	durable bool // FUA: not lost by any later power cut
	mask    uint8
	value   uint32 // written into the sectors of mask
	got     content
	epoch   volume.Epoch
	call    time.Duration
	ret     time.Duration
	done    bool
}

// opRef names an operation of the history.
type opRef struct {
	block int64
	index int
}

// loss is a declared loss: Activate of an epoch found that nothing it goes on with kept its cache.
type loss struct {
	epoch   volume.Epoch
	at      time.Duration
	setBack bool // what it goes on with was set back: anything that was ever there may be back
}

// history is what all guests of all epochs saw.
type history struct {
	blocks  map[int64][]operation
	flushes []operation
	losses  []loss // declared losses of what was not flushed, in order
	cuts    int    // power cuts: a write that was not answered may be there in part
	values  uint32
	ops     int
	zeroed  map[int64]bool // blocks that were ever zeroed: their values do not tell their order
	order   []int64        // the blocks, in order, as touched gave them last
}

func (h *history) next() uint32 { h.values++; return h.values }

func (h *history) add(b int64, op operation) opRef {
	if h.blocks == nil {
		h.blocks, h.zeroed = map[int64][]operation{}, map[int64]bool{}
	}
	h.blocks[b] = append(h.blocks[b], op)
	h.ops++
	if op.write && op.value == 0 {
		h.zeroed[b] = true
	}
	return opRef{b, len(h.blocks[b]) - 1}
}

func (h *history) at(r opRef) *operation { return &h.blocks[r.block][r.index] }

func (h *history) flush(now time.Duration) int {
	h.flushes = append(h.flushes, operation{call: now})
	return len(h.flushes) - 1
}

// touched returns the blocks that some guest used, in order. The list is the history's: who gets it only reads it.
func (h *history) touched() []int64 {
	if len(h.order) == len(h.blocks) {
		return h.order // no block is ever taken out
	}
	list := make([]int64, 0, len(h.blocks))
	for b := range h.blocks {
		list = append(list, b)
	}
	slices.Sort(list)
	h.order = list
	return list
}
