package leg

import (
	"errors"
	"fmt"

	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

// replay takes every entry of the file to the core, up to the first that is not whole. With holes it goes on behind
// that, which tests must find.
func (f *journalFile) replay(core *journal.Core, holes bool) error {
	r := journalReader{f: f}
	for {
		e, err := r.entry(core.Tail())
		if err == nil {
			err = core.Replay(e)
		}
		switch {
		case err == nil:
			continue
		case !errors.Is(err, journal.ErrNoEntry):
			return err
		case holes && r.skip(core):
			continue
		}
		return r.judgeEnd(core, err)
	}
}

// journalReader reads entries with buffers of its own.
type journalReader struct {
	f             *journalFile
	head, payload []byte
}

// readHead reads the head of the entry at a place. The error wraps journal.ErrNoEntry if there is none.
func (r *journalReader) readHead(p journal.Place) (journal.Entry, error) {
	r.head = append(r.head[:0], make([]byte, journal.SectorBytes)...)
	if err := r.f.read(r.head, p); err != nil {
		return journal.Entry{}, err
	}
	if n := journal.EntryHeadBytes(r.head); n > journal.SectorBytes {
		r.head = append(r.head, make([]byte, n-journal.SectorBytes)...)
		if err := r.f.read(r.head, p); err != nil {
			return journal.Entry{}, err
		}
	}
	e, err := journal.ParseEntry(r.head, r.f.leg)
	if err != nil || e.Place != p {
		return e, errors.Join(err, noEntryUnless(e.Place == p))
	}
	return e, nil
}

// entry reads the entry at a place, with its payload. The error wraps journal.ErrNoEntry if there is none.
func (r *journalReader) entry(p journal.Place) (journal.Entry, error) {
	e, err := r.readHead(p)
	if err != nil {
		return e, err
	}
	r.payload = append(r.payload[:0], make([]byte, e.Blocks()*volume.BlockBytes)...)
	if err := r.f.read(r.payload, e.Payload(0)); err != nil {
		return e, err
	}
	for i, sum := range e.Sums {
		if journal.BlockSum(r.payload[i*volume.BlockBytes:][:volume.BlockBytes]) != sum {
			return e, fmt.Errorf("%w: block %d of its payload does not match its checksum", journal.ErrNoEntry, i)
		}
	}
	return e, nil
}

func noEntryUnless(fits bool) error {
	if fits {
		return nil
	}
	return fmt.Errorf("%w: it is of an earlier turn", journal.ErrNoEntry)
}

// judgeEnd tells the torn tail of an interrupted write from damage: entries that were durable, and are not there any
// more. cause is why the replay ended.
func (r *journalReader) judgeEnd(core *journal.Core, cause error) error {
	if !r.f.head.Ended && core.Tail() >= core.Ends() {
		if err := r.lookBehind(core); err != nil {
			return err
		}
	}
	if core.Tail() < core.Ends() {
		return fmt.Errorf("%w: it was whole up to place %d, and now ends at %d: %w", errJournal, core.Ends(),
			core.Tail(), cause)
	}
	return nil
}

// lookChunk is how much of the ring is read at once where no entry is known to be.
const lookChunk = 256 << 10

// lookBehind shows the core the entries behind the end of its replay, up to the end of the ring: any of them may say
// that the journal was durable beyond that end. Their payloads prove nothing, and are passed over.
func (r *journalReader) lookBehind(core *journal.Core) error {
	end := r.f.head.Start + journal.Place(r.f.ring)
	var chunk []byte
	for p := core.Tail() + journal.SectorBytes; p < end; {
		if len(chunk) == 0 {
			chunk = make([]byte, min(lookChunk, int64(end-p)))
			if err := r.f.read(chunk, p); err != nil {
				return err
			}
		}
		step := int64(journal.SectorBytes)
		if journal.EntryHeadBytes(chunk) > 0 {
			switch e, err := r.readHead(p); {
			case err == nil:
				core.Behind(&e)
				step = e.Bytes()
			case !errors.Is(err, journal.ErrNoEntry):
				return err
			}
		}
		p += journal.Place(step)
		chunk = chunk[min(step, int64(len(chunk))):]
	}
	return nil
}

// skip moves the core to the next place with a whole entry, false if there is none in the ring.
func (r *journalReader) skip(core *journal.Core) bool {
	from := core.Tail()
	for p := from + journal.SectorBytes; p < from+journal.Place(r.f.ring); p += journal.SectorBytes {
		if _, err := r.entry(p); err == nil {
			core.Skip(p)
			return true
		}
	}
	return false
}
