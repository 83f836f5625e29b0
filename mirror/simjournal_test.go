package mirror

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// simJournal is the journal of a leg of parity as docs/safety/journal.md describes it: an append-only log, of which a
// power cut leaves a prefix. Home is the leg's cache and disk.
type simJournal struct {
	log     []simEntry
	durable int // entries that a power cut leaves
	floor   volume.Transaction
	bad     map[int64]bool // home blocks that cannot be read
	direct  bool           // home was written to past the journal since it was synced
	lost    bool           // a power cut took a part of the log, and no CONFIG came since
}

// simEntry is one entry of a journal: a record, a commit or a roll-back.
type simEntry struct {
	record *simRecord
	commit bool
	upTo   volume.Transaction // of a commit
	images map[int64]uint64   // of a commit: what parity blocks are after it
	back   []volume.Transaction
}

type simRecord struct {
	volume.Record
	data []uint64
}

// records returns the records of the log with what became of them: those rolled back are left out.
func (j *simJournal) records() (list []*simRecord) {
	for _, e := range j.log {
		switch {
		case e.record != nil:
			r := *e.record
			r.Committed = false
			list = append(list, &r)
		case e.commit:
			for _, r := range list {
				r.Committed = r.Committed || r.Transaction.Compare(e.upTo) <= 0
			}
		default:
			list = slices.DeleteFunc(list, func(r *simRecord) bool { return slices.Contains(e.back, r.Transaction) })
		}
	}
	return list
}

// lay lays a record over what blocks hold.
func (r *simRecord) lay(get func(int64) uint64, put func(int64, uint64)) {
	for i, v := range r.data {
		b := r.FirstBlock + int64(i)
		if r.Kind == volume.RecordDelta {
			v ^= get(b)
		}
		put(b, v)
	}
}

// content returns what a block of the leg holds: home, with what is staged laid over it.
func (l *simLeg) content(b int64) uint64 {
	if l.journal == nil {
		return l.cache[b]
	}
	v := l.cache[b]
	for _, r := range l.journal.records() {
		if !r.Committed {
			r.lay(func(int64) uint64 { return v }, func(at int64, laid uint64) {
				if at == b {
					v = laid
				}
			})
		}
	}
	return v
}

// unreadable reports whether a block cannot be read: it is bad at home, and no image is laid over it.
func (l *simLeg) unreadable(b int64) bool {
	if l.journal == nil {
		return l.cache[b]&simBad != 0
	}
	bad := l.journal.bad[b]
	for _, r := range l.journal.records() {
		if !r.Committed && r.Kind == volume.RecordImage && b >= r.FirstBlock && b < r.FirstBlock+r.Blocks {
			bad = false
		}
	}
	return bad
}

// stage appends a record.
func (l *simLeg) stage(r volume.Record, data []uint64) error {
	if r.Transaction.Compare(l.journal.floor) <= 0 {
		l.w.violation("leg %s gets a record of %s, below its floor %s", l.name, r.Transaction, l.journal.floor)
	}
	for _, e := range l.journal.log {
		if e.record != nil && e.record.Transaction == r.Transaction {
			return nil // again, since the answer was lost
		}
	}
	l.changed(block.Range{Off: r.FirstBlock * BlockBytes, Len: r.Blocks * BlockBytes})
	r.Legs = slices.Clone(r.Legs)
	l.journal.log = append(l.journal.log, simEntry{record: &simRecord{Record: r, data: slices.Clone(data)}})
	return nil
}

func (j *simJournal) sync() { j.durable = len(j.log) }

// commit makes the commits of all records up to a transaction durable, then writes home.
func (l *simLeg) commit(upTo volume.Transaction) {
	j := l.journal
	after := map[int64]uint64{}
	images := map[int64]uint64{}
	get := func(b int64) uint64 {
		if v, ok := after[b]; ok {
			return v
		}
		return l.cache[b]
	}
	some := false
	for _, r := range j.records() {
		if r.Committed || r.Transaction.Compare(upTo) > 0 {
			continue
		}
		some = true
		r.lay(get, func(b int64, v uint64) {
			after[b] = v
			if r.Kind == volume.RecordDelta {
				images[b] = v
			} else {
				delete(j.bad, b)
			}
		})
	}
	for b := range images {
		images[b] = after[b]
	}
	if some {
		j.log = append(j.log, simEntry{commit: true, upTo: upTo, images: images})
	}
	j.sync()
	for _, b := range slices.Sorted(maps.Keys(after)) {
		l.home(b, after[b])
	}
}

// home writes a block of the leg's data file.
func (l *simLeg) home(b int64, v uint64) {
	if _, ok := l.disk[b]; !ok {
		l.disk[b] = []uint64{l.cache[b]}
	}
	l.cache[b] = v
	l.disk[b] = append(l.disk[b], v)
}

// free makes home durable and drops what is committed, or rolled back, up to a transaction.
func (l *simLeg) free(upTo volume.Transaction) {
	j := l.journal
	if len(j.log) > 0 {
		l.sync()
	}
	live := map[volume.Transaction]bool{}
	for _, r := range j.records() {
		live[r.Transaction] = !r.Committed || r.Transaction.Compare(upTo) > 0
	}
	kept, durable := []simEntry(nil), 0
	for n, e := range j.log {
		keep := e.record != nil && live[e.record.Transaction]
		if e.commit || e.back != nil {
			keep = e.commit && e.upTo.Compare(upTo) > 0
		}
		if keep {
			kept = append(kept, e)
			if n < j.durable {
				durable++
			}
		}
	}
	j.log, j.durable = kept, durable
}

// powerCut leaves a prefix of the log, and replays it.
func (j *simJournal) powerCut(l *simLeg) {
	if j.durable < len(j.log) {
		j.lost = true
		j.log = j.log[:j.durable+l.w.rng.IntN(len(j.log)-j.durable+1)]
	}
	j.durable = len(j.log)
	var list []*simRecord
	done := map[volume.Transaction]bool{}
	for _, e := range j.log {
		switch {
		case e.record != nil:
			list = append(list, e.record)
		case e.back != nil:
			list = slices.DeleteFunc(list, func(r *simRecord) bool { return slices.Contains(e.back, r.Transaction) })
		default:
			for _, r := range list {
				if r.Transaction.Compare(e.upTo) <= 0 && !done[r.Transaction] {
					done[r.Transaction] = true
					if r.Kind == volume.RecordImage {
						r.lay(nil, func(b int64, v uint64) { l.cache[b], l.disk[b] = v, []uint64{v} })
					}
				}
			}
			for b, v := range e.images {
				l.cache[b], l.disk[b] = v, []uint64{v}
			}
		}
	}
}

// journalCommand carries out a command about records.
func (l *simLeg) journalCommand(c *Command, reply *Reply) {
	j := l.journal
	switch c.Kind {
	case CommandCommit:
		l.commit(c.UpTo)
	case CommandFree:
		l.free(c.UpTo)
	case CommandRecords:
		reply.Records = &volume.Records{Floor: j.floor}
		for _, r := range j.records() {
			reply.Records.Records = append(reply.Records.Records, r.Record)
		}
	case CommandRollback:
		j.log = append(j.log, simEntry{back: slices.Clone(c.List)})
		j.sync()
	case CommandDrop:
		j.log, j.durable, j.floor = nil, 0, c.UpTo
	}
}

// simBytes turns blocks into the bytes that the code of parity works on, eight for each block.
func simBytes(blocks []uint64) []byte {
	var b []byte
	for _, v := range blocks {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// simBlocksOf is the inverse of simBytes.
func simBlocksOf(b []byte) []uint64 {
	var blocks []uint64
	for ; len(b) > 0; b = b[8:] {
		blocks = append(blocks, binary.LittleEndian.Uint64(b))
	}
	return blocks
}

// compute carries out an effect that makes payload of a set of parity.
func (h *simHost) compute(x *Effect) {
	p := h.w.payloads
	data, _ := x.Data.(*simData)
	slices64 := func(n, size int) (list [][]byte) {
		for range n {
			list = append(list, make([]byte, size))
		}
		return list
	}
	var made [][]byte
	var err error
	switch x.Kind {
	case EffectVerify:
		bad, err := p.verify(simParts(x.Parts), 8)
		if err != nil {
			h.w.violation("payload: %v", err)
		}
		h.w.after(h.w.latency(), func() {
			h.run(func() { h.step(&Event{Kind: EventVerified, Req: x.Req, Reply: Reply{Bad: bad}}) })
		})
		return
	case EffectChange:
		first := x.Begin / BlockBytes
		old := simBytes((*x.Source.(*simData))[first:][:len(*data)])
		made = slices64(p.layout.Extra, len(old))
		err = p.change(x.Chunk, old, simBytes(*data), make([]byte, len(old)), made)
	case EffectEncode:
		all := simBytes(*data)
		made = slices64(p.layout.Extra, len(all)/p.layout.Data)
		err = p.encode(all, made)
	case EffectTrim:
		delete(h.made, data)
		return
	case EffectDecode:
		var decoded []byte
		if decoded, err = p.decode(x.Chunk, simParts(x.Parts), make([]byte, 8*len(*data))); err == nil {
			*data = simBlocksOf(decoded)
		}
	}
	if err != nil {
		h.w.violation("payload: %v", err)
	}
	if made != nil {
		h.made[data] = made
	}
}

// simParts returns the bytes of chunks that are there.
func simParts(handles []Handle) [][]byte {
	parts := make([][]byte, len(handles))
	for n, part := range handles {
		if part != nil {
			parts[n] = simBytes(*part.(*simData))
		}
	}
	return parts
}

// payload returns what a leg gets of a staged write.
func (h *simHost) payload(x *Effect) []uint64 {
	return simBlocksOf(h.w.payloads.part(x.Stage, x.Chunk, simBytes(*x.Data.(*simData)),
		func(j int) []byte { return h.made[x.Data.(*simData)][j] }))
}
