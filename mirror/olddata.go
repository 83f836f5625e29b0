package mirror

import "github.com/holdfast-storage/holdfast/block"

// oldData is what was written last, so that the next write of the same blocks need not read what it replaces: a guest
// writes its journals and its hot blocks again and again. It holds what the volume has, whichever legs those are, and
// only ranges that nobody writes now.
type oldData struct {
	list  []oldEntry // the oldest first
	bytes int64
}

type oldEntry struct {
	rng  block.Range // of the volume
	data Handle
}

// The bounds of oldData.
const (
	oldEntries = 64
	oldBytes   = 2 << 20
)

// take returns what is in a range and where it begins, nil if that is not known. It belongs to the caller then.
func (d *oldData) take(r block.Range) (data Handle, from int64) {
	for n, e := range d.list {
		if within(r, e.rng) {
			d.remove(n)
			return e.data, r.Off - e.rng.Off
		}
	}
	return nil, 0
}

// drop forgets whatever a range touches, since it is about to be written.
func (d *oldData) drop(c *Core, r block.Range) {
	for n := len(d.list) - 1; n >= 0; n-- {
		if d.list[n].rng.Overlaps(r) {
			c.emit(Effect{Kind: EffectRelease, Data: d.list[n].data})
			d.remove(n)
		}
	}
}

// keep takes over what was written to a range. Nothing else in the list touches it.
func (d *oldData) keep(c *Core, r block.Range, data Handle) {
	for len(d.list) > 0 && (len(d.list) >= oldEntries || d.bytes+r.Len > oldBytes) {
		c.emit(Effect{Kind: EffectRelease, Data: d.list[0].data})
		d.remove(0)
	}
	c.emit(Effect{Kind: EffectTrim, Data: data})
	d.list = append(d.list, oldEntry{rng: r, data: data})
	d.bytes += r.Len
}

func (d *oldData) remove(n int) {
	d.bytes -= d.list[n].rng.Len
	d.list = append(d.list[:n], d.list[n+1:]...)
}
