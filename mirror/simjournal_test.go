package mirror

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

// simJournal is the journal of a leg of parity as docs/safety/journal.md describes it: its decisions are those of a
// leg, its file is a list of entries, of which a power cut leaves a beginning. Home is the leg's cache and disk.
type simJournal struct {
	core    *journal.Core
	ring    int64
	head    journal.Head
	entries []simEntry
	durable journal.Place    // entries before it are on the medium
	bad     map[int64]bool   // home blocks that cannot be read
	hidden  map[int64]uint64 // what they would hold if they could when a delta of them was committed
	direct  bool             // home was written to past the journal since it was synced
	lost    bool             // a power cut took a part of the journal, and no CONFIG came since
	left    []journal.Source // what of a commit, which is durable, is not at home, which had no room
}

// simEntry is one entry of a journal with the blocks of its payload.
type simEntry struct {
	journal.Entry
	data []uint64
}

// newSimJournal makes the journal of a leg of a volume with so many bytes.
func newSimJournal(l volume.Layout, size int64) *simJournal {
	j := &simJournal{ring: l.JournalBytes(size) - volume.JournalHeadBytes, bad: map[int64]bool{},
		hidden: map[int64]uint64{}}
	j.core = journal.New(j.ring, j.head)
	return j
}

// simSum is the checksum of a block that is one number.
func simSum(v uint64) uint32 { return uint32(v>>32) ^ uint32(v) }

func simSums(data []uint64) []uint32 {
	sums := make([]uint32, len(data))
	for i, v := range data {
		sums[i] = simSum(v)
	}
	return sums
}

// append writes an entry that has its place.
func (j *simJournal) append(e journal.Entry, data []uint64) {
	j.entries = append(j.entries, simEntry{e, data})
	j.core.Whole(e.Place)
}

// block reads a block of a payload. Its space must not be in use by another entry by now.
func (l *simLeg) block(s journal.Source) uint64 {
	for _, e := range l.journal.entries {
		for i := range e.Blocks() {
			if e.Payload(i) == s.Place && s.Place >= l.journal.head.Start && simSum(e.data[i]) == s.Sum {
				return e.data[i]
			}
		}
	}
	l.w.violation("leg %s: the payload of block %d is gone from its journal", l.name, s.Block)
	return 0
}

// assemble makes what a block holds of home and what lies over it.
func (l *simLeg) assemble(b int64, over []journal.Source) (v uint64, bad bool) {
	if n := len(over); n == 0 || over[n-1].Kind == volume.RecordDelta {
		v, bad = l.cache[b], l.journal.bad[b]
	} else if over[n-1].Kind == 0 {
		return 0, true
	}
	for _, s := range over {
		v ^= l.block(s)
	}
	return v, bad
}

// content returns what a block of the leg holds: home, with what is staged laid over it.
func (l *simLeg) content(b int64) uint64 {
	if l.journal == nil {
		return l.cache[b]
	}
	v, _ := l.assemble(b, l.journal.core.Overlay(nil, b, 1))
	return v
}

// unreadable reports whether a block cannot be read: it is bad at home, and no image is laid over it.
func (l *simLeg) unreadable(b int64) bool {
	if l.journal == nil {
		return l.cache[b]&simBad != 0
	}
	_, bad := l.assemble(b, l.journal.core.Overlay(nil, b, 1))
	return bad
}

// stage appends a record.
func (l *simLeg) stage(r volume.Record, data []uint64) error {
	j := l.journal
	r.Legs = slices.Clone(r.Legs)
	e, err := j.core.Stage(r, simSums(data))
	switch {
	case errors.Is(err, journal.ErrThere):
		return nil // again, since the answer was lost
	case err != nil:
		l.w.violation("leg %s refuses a record: %v", l.name, err)
		return block.ErrFailed
	}
	l.changed(block.Range{Off: r.FirstBlock * BlockBytes, Len: r.Blocks * BlockBytes})
	j.append(e, slices.Clone(data))
	return nil
}

func (j *simJournal) sync() { j.durable = j.core.Tail() }

// commit makes the commits of all records up to a transaction durable, then writes home.
func (l *simLeg) commit(upTo volume.Transaction) error {
	j := l.journal
	if err := l.writeHome(); err != nil {
		return err
	}
	j.core.Bar(upTo)
	x := j.core.Commit(upTo)
	if x == nil {
		return nil
	}
	for i := 0; i < len(x.Sources); {
		b, end := x.Sources[i].Block, i+1
		for end < len(x.Sources) && x.Sources[end].Block == b {
			end++
		}
		v, bad := l.assemble(b, x.Sources[i:end])
		if x.Sources[i].Kind == volume.RecordDelta && !bad {
			l.putEntry(j.core.AfterImage(x, b, []uint32{simSum(v)}))(v)
		}
		if bad {
			j.hidden[b] = v
		}
		i = end
	}
	l.putEntry(j.core.Seal(x))()
	j.sync()
	j.left = j.core.Sealed(x)
	return l.writeHome()
}

// writeHome writes home what the last commit has left to write. A home without room takes a part of it.
func (l *simLeg) writeHome() error {
	j := l.journal
	room := len(j.left)
	if l.full && room > 0 {
		room = l.w.rng.IntN(room)
	}
	for _, s := range j.left[:room] {
		l.takeHome(s)
		j.core.AtHome(s.Block, 1)
	}
	if j.left = j.left[room:]; len(j.left) > 0 {
		return block.ErrNoSpace
	}
	j.core.Finish()
	return nil
}

// putEntry writes an entry for which there must be room.
func (l *simLeg) putEntry(e journal.Entry, err error) func(data ...uint64) {
	return func(data ...uint64) {
		if err != nil {
			l.w.violation("leg %s: %v", l.name, err)
			return
		}
		l.journal.append(e, data)
	}
}

// takeHome writes a block home from the journal.
func (l *simLeg) takeHome(s journal.Source) {
	if s.Kind == 0 {
		l.journal.bad[s.Block] = true
		l.home(s.Block, l.journal.hidden[s.Block])
		return
	}
	delete(l.journal.bad, s.Block)
	l.home(s.Block, l.block(s))
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
	h, some, err := j.core.PlanFree(upTo)
	switch {
	case err != nil:
		l.w.violation("leg %s: %v", l.name, err)
	case some:
		l.sync()
		j.direct = false
		j.setHead(h)
	case j.direct:
		l.sync()
		j.direct = false
	}
}

func (j *simJournal) setHead(h journal.Head) {
	j.head = h
	j.core.SetHead(h)
	j.entries = slices.DeleteFunc(j.entries, func(e simEntry) bool { return e.Place < h.Start })
	j.sync()
}

// powerCut leaves a beginning of the entries, and starts anew.
func (j *simJournal) powerCut(l *simLeg) {
	durable := slices.IndexFunc(j.entries, func(e simEntry) bool { return e.Place >= j.durable })
	if durable >= 0 {
		j.lost = true
		j.entries = j.entries[:durable+l.w.rng.IntN(len(j.entries)-durable+1)]
	}
	j.start(l)
}

// start replays the journal.
func (j *simJournal) start(l *simLeg) {
	j.core = journal.New(j.ring, j.head)
	for i, e := range j.entries {
		if err := j.core.Replay(e.Entry); err != nil {
			l.w.violation("leg %s: entry %d: %v", l.name, i, err)
		}
	}
	if j.core.Tail() < j.head.Cut {
		l.w.violation("leg %s: its journal was whole up to %d, and ends at %d", l.name, j.head.Cut, j.core.Tail())
	}
	redo := j.core.Redo()
	j.left = nil
	if l.full && len(redo) > 0 { // home has no room
		j.left = redo[l.w.rng.IntN(len(redo)):]
		redo = redo[:len(redo)-len(j.left)]
		j.core.NotHome(j.left)
	}
	for _, s := range redo {
		l.takeHome(s)
	}
	j.entries = slices.DeleteFunc(j.entries, func(e simEntry) bool { return e.Place >= j.core.Tail() })
	j.setHead(j.core.Started())
}

// journalCommand carries out a command about records.
func (l *simLeg) journalCommand(c *Command, reply *Reply) error {
	j := l.journal
	switch c.Kind {
	case CommandCommit:
		return l.commit(c.UpTo)
	case CommandFree:
		l.free(c.UpTo)
	case CommandRecords:
		list, _, _ := j.core.Records(0, math.MaxInt)
		reply.Records = &volume.Records{Floor: j.head.Floor, Records: list}
	case CommandRollback:
		e, some, err := j.core.Rollback(c.List)
		if err != nil {
			l.w.violation("leg %s: %v", l.name, err)
		} else if some {
			l.putEntry(e, err)()
			j.sync()
			j.core.RolledBack(c.List)
		}
	case CommandDrop:
		j.core.Bar(c.UpTo)
		h, err := j.core.PlanDrop(c.UpTo)
		if err != nil {
			l.w.violation("leg %s: %v", l.name, err)
			return err
		}
		j.left = nil
		j.core.Dropped(h)
		j.setHead(h)
	}
	return nil
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
