package mirror

import "github.com/holdfast-storage/holdfast/volume"

// room counts what records that are not freed take of the journals of the legs, so that no journal is ever full.
type room struct {
	most    int64 // what the records of one leg may take
	used    [MaxLegs]int64
	older   [MaxLegs]int64 // of used: of earlier epochs
	list    []roomEntry    // the oldest first
	waiting opList         // writes for which there is no room, with their ranges locked
}

type roomEntry struct {
	seq   uint64
	bytes int64
	legs  legSet
}

// has reports whether there is room for a record of so many bytes on every leg. One that would never
// find room goes when there is nothing else.
func (r *room) has(bytes int64) bool {
	return r.fullest() == 0 || r.waiting.n == 0 && r.fullest()+bytes <= r.most
}

// isHalf reports whether it is time for a round.
func (r *room) isHalf() bool { return 2*r.fullest() >= r.most }

func (r *room) fullest() int64 {
	most := int64(0)
	for _, used := range r.used {
		most = max(most, used)
	}
	return most
}

// use counts the records of a write.
func (r *room) use(seq uint64, bytes int64, legs legSet) {
	r.list = append(r.list, roomEntry{seq: seq, bytes: bytes, legs: legs})
	for s := legs; s != 0; s = s.rest() {
		r.used[s.first()] += bytes
	}
}

// found counts what a leg has of earlier epochs: an engine that dies before its first round frees nothing, and neither
// may the next one.
func (r *room) found(i LegIndex, list []volume.Record) {
	for _, x := range list {
		bytes := volume.RecordBytes(x.Blocks, len(x.Legs))
		r.used[i] += bytes
		r.older[i] += bytes
	}
}

// free gives back what writes up to upTo took, and all of earlier epochs.
func (r *room) free(upTo uint64) {
	for i := range r.older {
		r.used[i] -= r.older[i]
		r.older[i] = 0
	}
	n := 0
	for n < len(r.list) && r.list[n].seq <= upTo {
		for s := r.list[n].legs; s != 0; s = s.rest() {
			r.used[s.first()] -= r.list[n].bytes
		}
		n++
	}
	r.list = append(r.list[:0], r.list[n:]...)
}

// gone forgets the records of a leg that takes no part any more.
func (r *room) gone(i LegIndex) {
	r.used[i], r.older[i] = 0, 0
	for n := range r.list {
		r.list[n].legs = r.list[n].legs.without(i)
	}
}

// pumpRoom sends the writes for which there is room now, in the order in which they came.
func (p *paritySet) pumpRoom(c *Core) {
	w := &p.room.waiting
	for w.n > 0 {
		o := w.head
		if first := p.room.fullest(); first != 0 && first+p.recordBytes(o) > p.room.most {
			return
		}
		w.remove(o)
		p.send(c, o)
	}
}

// recordBytes returns what a record of a write takes of a journal, at most.
func (p *paritySet) recordBytes(o *op) int64 {
	return volume.RecordBytes(o.part.leg.Len/BlockBytes, p.layout.Legs()+1)
}
