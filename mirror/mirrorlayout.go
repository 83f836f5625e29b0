package mirror

import (
	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// mirrorLayout is what requests do in a mirror: every leg gets all of a write, and any gives a read.
type mirrorLayout struct{}

func (mirrorLayout) place(*op) {}

func (mirrorLayout) read(c *Core, o *op)               { c.startFetch(o, o.rng, 0) }
func (mirrorLayout) write(c *Core, o *op)              { c.readEdges(o) }
func (mirrorLayout) merge(c *Core, o *op, data Handle) { c.mergeEdge(o, data) }
func (mirrorLayout) fetch(c *Core, o *op)              { c.sendFetch(o) }
func (mirrorLayout) sources(c *Core, _ *op) legSet     { return c.read }
func (mirrorLayout) spoiled(c *Core, o *op)            { c.needHeal(o.fetch.rng) }
func (mirrorLayout) stored(c *Core, o *op) bool        { return c.ack.within(o.answered) }
func (mirrorLayout) answer(c *Core, o *op)             { c.complete(o, nil) }
func (mirrorLayout) end(c *Core, o *op)                { c.retire(o) }
func (mirrorLayout) verified(*Core, *op, []uint32)     {}
func (mirrorLayout) outOfSpace(c *Core, o *op)         { c.outOfSpace(o) }
func (mirrorLayout) chunk(*op, int) int                { return 0 }

func (mirrorLayout) prepare(c *Core)                              { c.askMarks() }
func (mirrorLayout) settle(*Core)                                 {}
func (mirrorLayout) answered(*Core, call, error, *volume.Records) {}
func (mirrorLayout) flushed(*Core, flushPurpose, uint64)          {}
func (mirrorLayout) gone(*Core, LegIndex)                         {}

func (mirrorLayout) settleIn(c *Core, i LegIndex)       { c.settleIn(i) }
func (mirrorLayout) askCopySet(c *Core)                 { c.askJoinMarks() }
func (mirrorLayout) copy(c *Core, o *op)                { c.copySums(o) }
func (mirrorLayout) copied(c *Core, o *op, data Handle) { c.copyFetched(o, data) }
func (mirrorLayout) rewrote(c *Core, o *op)             { c.rewrote(o) }
func (mirrorLayout) unreadable(c *Core, o *op)          { c.copyUnreadable(o) }
func (mirrorLayout) mendFirst(c *Core, o *op) bool      { return c.mendFirst(o) }
func (mirrorLayout) startMended(c *Core)                { c.startMended() }
func (mirrorLayout) compare(c *Core, o *op)             { c.compare(o) }
func (mirrorLayout) stamped(c *Core)                    { c.promote() }
func (mirrorLayout) stamp(c *Core)                      { c.stampVersions() }
func (mirrorLayout) flushJoin(c *Core)                  { c.flushFor(flushJoin, only(c.join.leg), c.join.number) }

func (mirrorLayout) stabilize(c *Core) {
	c.flushFor(flushClear, c.clear.legs&c.ack, c.clear.number)
}

func (mirrorLayout) scrubRange(c *Core, from int64) (block.Range, int64) {
	size := c.timing().CopyBytes
	r := block.Range{Off: from, Len: min(size-from%size, c.opts.SizeBytes-from)}
	return r, r.End()
}
