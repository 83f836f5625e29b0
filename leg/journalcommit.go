package leg

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg/journal"
	"github.com/holdfast-storage/holdfast/volume"
)

// Commit commits all staged records up to a transaction: durably, and then at home. Once it has its turn it goes on to
// the end, whatever becomes of ctx. After block.ErrNoSpace of the home the commit is durable, and the next one goes on.
func (j *journaled) Commit(ctx context.Context, upTo volume.Transaction) error {
	if err := j.take(ctx); err != nil {
		return err
	}
	defer j.give()
	if err := j.writeHome(); err != nil {
		return err
	}
	j.mu.Lock()
	err := j.waitWhole(j.core.Bar(upTo))
	var x *journal.Commit
	if err == nil {
		x = j.core.Commit(upTo)
	}
	j.mu.Unlock()
	if err != nil || x == nil {
		return err
	}
	if err := j.seal(x); err != nil {
		return err
	}
	if err := j.writeHome(); err != nil || !j.broken.breaks(BreakMergeLate) {
		return err
	}
	return j.Sync()
}

// seal makes a commit durable.
func (j *journaled) seal(x *journal.Commit) error {
	buf := j.buffer()
	defer j.buffers.Put(buf)
	if err := j.merge(x, buf); err != nil {
		return j.abandon(x, err)
	}
	j.mu.Lock()
	e, err := j.core.Seal(x)
	j.mu.Unlock()
	if err != nil {
		return j.abandon(x, err)
	}
	if err := j.put(&e, nil, buf); err != nil {
		return err
	}
	if !j.broken.breaks(BreakMergeLate) {
		if err := j.Sync(); err != nil {
			return err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.unfinished = &homeward{commit: x, blocks: j.core.Sealed(x)}
	return nil
}

// abandon gives a commit up that is not sealed: its records stay staged.
func (j *journaled) abandon(x *journal.Commit, err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.core.Abandon(x)
	return refusedByJournal(err)
}

// merge writes the after-images of a commit: one for each block that a delta of it touches.
func (j *journaled) merge(x *journal.Commit, buf *journalBuffer) error {
	run := mergeRun{j: j, x: x, buf: buf}
	for i := 0; i < len(x.Sources); {
		end := blockEnd(x.Sources, i)
		if sources := x.Sources[i:end]; sources[0].Kind == volume.RecordDelta {
			if err := run.add(sources); err != nil {
				return err
			}
		}
		i = end
	}
	return run.end()
}

// blockEnd returns where the sources of the block end that begin at i.
func blockEnd(s []journal.Source, i int) int {
	end := i + 1
	for end < len(s) && s[end].Block == s[i].Block {
		end++
	}
	return end
}

// mergeRun collects after-images of blocks that lie together.
type mergeRun struct {
	j     *journaled
	x     *journal.Commit
	buf   *journalBuffer
	first int64
}

// add merges one block. One that cannot be read at home stays so: it gets no after-image, and the commit spoils it.
func (m *mergeRun) add(sources []journal.Source) error {
	n, blocks := sources[0].Block, int64(len(m.buf.payload))/volume.BlockBytes
	if blocks > 0 && (m.first+blocks != n || blocks == volume.MaxRecordBlocks) {
		if err := m.end(); err != nil {
			return err
		}
		blocks = 0
	}
	if blocks == 0 {
		m.first, m.buf.payload = n, m.buf.payload[:0]
	}
	at := len(m.buf.payload)
	m.buf.payload = slices.Grow(m.buf.payload, volume.BlockBytes)[:at+volume.BlockBytes]
	err := m.j.assemble(context.Background(), m.buf.payload[at:], m.buf.block[:], sources)
	if errors.Is(err, block.ErrMedium) && !errors.Is(err, block.ErrFailed) {
		m.buf.payload = m.buf.payload[:at]
		return nil
	}
	return err
}

// end writes what was collected.
func (m *mergeRun) end() error {
	if len(m.buf.payload) == 0 {
		return nil
	}
	m.buf.sums = journal.AppendSums(m.buf.sums[:0], m.buf.payload)
	m.j.mu.Lock()
	e, err := m.j.core.AfterImage(m.x, m.first, m.buf.sums)
	m.j.mu.Unlock()
	if err != nil {
		return err
	}
	err = m.j.put(&e, m.buf.payload, m.buf)
	m.buf.payload = m.buf.payload[:0]
	return err
}

// assemble makes the content of one block of its sources, which are in the order of journal.Core.Overlay. delta is room
// for another block.
func (j *journaled) assemble(ctx context.Context, p, delta []byte, sources []journal.Source) error {
	base := sources[len(sources)-1]
	n := base.Block
	switch {
	case base.Kind == volume.RecordDelta:
		if err := j.home.Read(ctx, p, n*volume.BlockBytes); err != nil {
			return err
		}
	case base.Kind != volume.RecordImage:
		return badBlock(n)
	default:
		if err := j.file.readBlocks(p, sources[len(sources)-1:]); err != nil {
			return err
		}
		sources = sources[:len(sources)-1]
	}
	for i := range sources {
		if err := j.file.readBlocks(delta, sources[i:i+1]); err != nil {
			return err
		}
		subtle.XORBytes(p, p, delta)
	}
	return nil
}

// writeHome writes home what the last commit has left to write. It needs the turn.
func (j *journaled) writeHome() error {
	u := j.unfinished
	if u == nil {
		return nil
	}
	buf := j.buffer()
	defer j.buffers.Put(buf)
	for len(u.blocks) > 0 {
		n := runLength(u.blocks)
		if err := j.writeRun(u, n, buf); err != nil {
			return fmt.Errorf("write block %d of a commit home: %w", u.blocks[0].Block, err)
		}
		u.blocks = u.blocks[n:]
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.core.Finish(u.commit)
	j.unfinished = nil
	return nil
}

// runLength returns how many sources from the first on lie together, at home and in the journal.
func runLength(s []journal.Source) int {
	n := 1
	for n < len(s) && n < volume.MaxRecordBlocks && s[n].Kind == s[0].Kind && s[n].Block == s[n-1].Block+1 &&
		(s[n].Kind == 0 || s[n].Place == s[n-1].Place+volume.BlockBytes) {
		n++
	}
	return n
}

// writeRun writes the next n blocks home while nobody reads them who knows of their records.
func (j *journaled) writeRun(u *homeward, n int, buf *journalBuffer) error {
	run := u.blocks[:n]
	r := block.Range{Off: run[0].Block * volume.BlockBytes, Len: int64(n) * volume.BlockBytes}
	id, err := j.ranges.enter(context.Background(), r, false)
	if err != nil {
		return err
	}
	defer j.ranges.leave(id)
	if err := copyHome(j.file, j.home, run, buf); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.core.AtHome(u.commit, run[0].Block, int64(n))
	return nil
}

// copyHome writes a run of blocks home from where they lie in the journal.
func copyHome(f *journalFile, home *checkedData, run []journal.Source, buf *journalBuffer) error {
	off, length := run[0].Block*volume.BlockBytes, int64(len(run))*volume.BlockBytes
	if run[0].Kind == 0 {
		return home.Spoil(context.Background(), block.Range{Off: off, Len: length})
	}
	buf.payload = slices.Grow(buf.payload[:0], int(length))[:length]
	if err := f.readBlocks(buf.payload, run); err != nil {
		return err
	}
	err := home.Write(context.Background(), buf.payload, off, 0)
	buf.payload = buf.payload[:0]
	return err
}
