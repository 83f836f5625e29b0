package leg

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

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
		if err := j.prove(); err != nil {
			return err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.unfinished = j.core.Sealed(x)
	return nil
}

// abandon gives a commit up that is not sealed: its records stay staged.
func (j *journaled) abandon(x *journal.Commit, err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.core.Abandon(x)
	return refusedByJournal(err)
}

// mergeWorkers is how many blocks are merged at once: what parity blocks hold at home is seldom in the page cache, and
// a takeover waits for its first commit.
const mergeWorkers = 8

// merge writes the after-images of a commit: one for each block that a delta of it touches.
func (j *journaled) merge(x *journal.Commit, buf *journalBuffer) error {
	var batch [][]journal.Source // of one block each
	for i := 0; i < len(x.Sources); {
		end := blockEnd(x.Sources, i)
		if sources := x.Sources[i:end]; sources[0].Kind == volume.RecordDelta {
			batch = append(batch, sources)
		}
		if i = end; len(batch) == volume.MaxRecordBlocks || i == len(x.Sources) {
			if err := j.mergeBatch(x, batch, buf); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return nil
}

// blockEnd returns where the sources of the block end that begin at i.
func blockEnd(s []journal.Source, i int) int {
	end := i + 1
	for end < len(s) && s[end].Block == s[i].Block {
		end++
	}
	return end
}

// mergeBatch merges some blocks and writes their after-images, those of neighbours in one entry. A block that cannot be
// read at home stays so: it gets no after-image, and the commit spoils it.
func (j *journaled) mergeBatch(x *journal.Commit, batch [][]journal.Source, buf *journalBuffer) error {
	length := len(batch) * volume.BlockBytes
	buf.payload = slices.Grow(buf.payload[:0], length)[:length]
	merged := make([]error, len(batch))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(mergeWorkers, len(batch)) {
		workers.Go(func() {
			delta := make([]byte, volume.BlockBytes)
			for i := next.Add(1) - 1; i < int64(len(batch)); i = next.Add(1) - 1 {
				p := buf.payload[i*volume.BlockBytes:][:volume.BlockBytes]
				merged[i] = j.assemble(context.Background(), p, delta, batch[i])
			}
		})
	}
	workers.Wait()
	for i := 0; i < len(batch); {
		if err := merged[i]; isBadBlock(err) {
			i++
			continue
		} else if err != nil {
			return err
		}
		end := i + 1
		for end < len(batch) && merged[end] == nil && batch[end][0].Block == batch[end-1][0].Block+1 {
			end++
		}
		payload := buf.payload[i*volume.BlockBytes : end*volume.BlockBytes]
		if err := j.putImage(x, batch[i][0].Block, payload, buf); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// isBadBlock reports whether err is of a block that cannot be read, and of nothing worse.
func isBadBlock(err error) bool {
	return errors.Is(err, block.ErrMedium) && !errors.Is(err, block.ErrFailed)
}

// putImage writes one after-image.
func (j *journaled) putImage(x *journal.Commit, first int64, payload []byte, buf *journalBuffer) error {
	buf.sums = journal.AppendSums(buf.sums[:0], payload)
	j.mu.Lock()
	e, err := j.core.AfterImage(x, first, buf.sums)
	j.mu.Unlock()
	if err != nil {
		return err
	}
	return j.put(&e, payload, buf)
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
	return j.file.addDeltas(p, delta, sources)
}

// addDeltas adds the payloads of deltas of one block to p. delta is room for another block.
func (f *journalFile) addDeltas(p, delta []byte, deltas []journal.Source) error {
	for i := range deltas {
		if err := f.readBlocks(delta, deltas[i:i+1]); err != nil {
			return err
		}
		subtle.XORBytes(p, p, delta)
	}
	return nil
}

// writeHome writes home what the last commit has left to write. It needs the turn.
func (j *journaled) writeHome() error {
	if len(j.unfinished) == 0 {
		return nil
	}
	buf := j.buffer()
	defer j.buffers.Put(buf)
	for len(j.unfinished) > 0 {
		n := runLength(j.unfinished)
		if err := j.writeRun(j.unfinished[:n], buf); err != nil {
			return fmt.Errorf("write block %d of a commit home: %w", j.unfinished[0].Block, err)
		}
		j.unfinished = j.unfinished[n:]
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.core.Finish()
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

// writeRun writes a run of blocks home while nobody reads them who knows of their records.
func (j *journaled) writeRun(run []journal.Source, buf *journalBuffer) error {
	r := block.Range{Off: run[0].Block * volume.BlockBytes, Len: int64(len(run)) * volume.BlockBytes}
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
	j.core.AtHome(run[0].Block, int64(len(run)))
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
