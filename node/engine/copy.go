package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/track"
	"github.com/holdfast-storage/holdfast/export/nbd"
	"github.com/holdfast-storage/holdfast/node/pause"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

const (
	copyPiece   = 1 << 20                // bytes that are copied at once, one piece after the other
	copyHoldMax = 5 * time.Second        // that the guest's changes wait for a cut at most
	copyAnswer  = 3 * time.Second        // that a request may take, but for the copying of the rest
	copyWait    = time.Second            // between two looks while little changes, and after an error
	copyNear    = 250 * time.Millisecond // of copying that may be left for a cut, at first
	copyNearMax = 2 * time.Second        // and after many passes in which it did not become less
	copyFirst   = 8 << 20                // bytes that are little whatever the speed is
)

// copier copies the volume onto a clone of it, beside the guest: all of it, then what changed meanwhile, again and
// again, until so little is left that the guest can wait for it. There is one copy at a time.
//
// A copy is of one epoch of the volume and one of the clone: whoever attaches one of them anew has a copy from the
// beginning, and the fence of the clone's epoch keeps out what was on its way before.
type copier struct {
	process *process
	tracker *track.Tracker

	mu    sync.Mutex // protects what follows; never held across I/O
	job   *copying   // nil: nothing is copied
	spent spentClone // whose copy ended here
}

// spentClone is an attachment of a clone onto which a copy was made that has ended. Another copy is never made onto it:
// the coordinators may be about to hear that the first was complete. Clones of one volume follow each other, so it is
// enough to know the latest.
type spentClone struct {
	volume volume.ID
	epoch  volume.Epoch
}

// copying is one copy. Its goroutine makes the passes; who ends the copy takes its place.
type copying struct {
	order  CopyOrder
	clone  block.Device
	source block.Queue     // below the tracker
	size   int64           // bytes of both
	over   <-chan struct{} // closed with the engine's life: nothing is waited for then
	dirty  *track.Map
	buf    []byte

	cancel context.CancelFunc
	done   chan struct{}

	work sync.Mutex // is held by whoever copies
	at   int64      // where the pass is; with work held

	mu     sync.Mutex // protects what follows
	state  peer.CopyState
	cut    volume.UUID
	hold   *track.Hold
	passes int     // that were completed
	speed  float64 // bytes a second, of the latest pieces
	broken bool    // the clone's engine is lost: this copy never goes on
	err    error   // of the latest piece
}

func newCopier(p *process, set block.Queue) *copier {
	return &copier{process: p, tracker: track.New(set)}
}

// answer does what a request of the control socket says about copies.
func (c *copier) answer(r Request) error {
	ctx, cancel := context.WithTimeout(c.process.life, copyAnswer)
	defer cancel()
	switch {
	case r.Verb == VerbCopy && r.Copy != nil:
		return c.start(ctx, *r.Copy)
	case r.Verb == VerbCopy || r.Cut == nil:
		return fmt.Errorf("%s names no copy", r.Verb)
	case r.Verb == VerbCopyHold:
		return c.stopChanges(ctx, *r.Cut)
	case r.Verb == VerbCopyEnd:
		return c.complete(*r.Cut)
	case r.Verb == VerbCopyRelease:
		return c.release(r.Cut.Group)
	}
	return c.end(ctx, r.Cut.Group)
}

// start begins a copy, or finds that it is under way. One that was complete goes on.
func (c *copier) start(ctx context.Context, o CopyOrder) error {
	c.mu.Lock()
	job, spent := c.job, c.spent
	c.mu.Unlock()
	switch {
	case job == nil && spent == spentClone{o.Volume, o.Epoch}:
		return c.refuse(o)
	case job == nil:
	case job.order.Group == o.Group && job.order.Volume == o.Volume && job.order.Epoch == o.Epoch:
		job.resume()
		return nil
	default:
		return fmt.Errorf("it is copied onto volume %s of group %s: stop that first", job.order.Volume, job.order.Group)
	}
	if !c.process.isServing() {
		return errors.New("the volume does not serve yet")
	}
	address, err := nbd.ParseURL(o.URL)
	if err != nil {
		return err
	}
	clone, err := nbd.Dial(ctx, address, nbd.ClientOptions{})
	if err != nil {
		return fmt.Errorf("the clone's export: %w", err)
	}
	size := c.process.set.Limits().SizeBytes
	if other := clone.Limits().SizeBytes; other != size {
		return errors.Join(fmt.Errorf("the clone has %d bytes, the volume %d", other, size), clone.Close())
	}
	life, cancel := context.WithCancel(c.process.life)
	job = &copying{order: o, clone: clone, source: c.process.set, size: size, over: c.process.life.Done(),
		dirty: track.NewMap(size), buf: make([]byte, min(copyPiece, size)),
		cancel: cancel, done: make(chan struct{}), state: peer.CopyRuns}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.job != nil || life.Err() != nil {
		cancel()
		return errors.Join(errors.New("another copy was begun, or the engine ends"), clone.Close())
	}
	c.job = job
	c.tracker.Track(job.dirty)
	c.process.running.Go(func() {
		// A clone that hangs must not keep the engine from its end.
		defer context.AfterFunc(c.process.life, func() { _ = clone.Close() })()
		job.run(life)
	})
	return nil
}

// end ends the copy of a group, whatever it has come to, and returns when nothing of it is on its way any more.
func (c *copier) end(ctx context.Context, group volume.UUID) error {
	job, err := c.of(group)
	if err != nil {
		return nil // there is none
	}
	job.cancel()
	job.release()
	select {
	case <-job.done:
	case <-ctx.Done():
		return errors.New("a piece is on its way still")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.job == job {
		c.job, c.spent = nil, spentClone{job.order.Volume, job.order.Epoch}
		c.tracker.Track(nil)
	}
	return nil
}

// refuse makes the copy one that is lost, so that the clone is attached anew.
func (c *copier) refuse(o CopyOrder) error {
	done := make(chan struct{})
	close(done)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.job == nil {
		c.job = &copying{order: o, size: 1, dirty: track.NewMap(0), cancel: func() {}, done: done, state: peer.CopyRuns,
			broken: true, err: errors.New("another copy was made onto this attachment of the clone")}
	}
	return nil
}

// of returns the copy of a group.
func (c *copier) of(group volume.UUID) (*copying, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.job == nil || c.job.order.Group != group {
		return nil, errors.New("there is no copy of that group")
	}
	return c.job, nil
}

// status returns how far the copy is, nil if there is none.
func (c *copier) status() *peer.CopyStatus {
	c.mu.Lock()
	job := c.job
	c.mu.Unlock()
	if job == nil {
		return nil
	}
	return job.status()
}

func (j *copying) status() *peer.CopyStatus {
	j.mu.Lock()
	defer j.mu.Unlock()
	rest, total := j.dirty.Bytes(), j.size
	s := &peer.CopyStatus{Group: j.order.Group, Volume: j.order.Volume, Epoch: j.order.Epoch, State: j.state,
		Cut: j.cut, Done: total, Total: total, Rest: rest, Lost: j.broken}
	if j.passes == 0 {
		s.Done = max(0, total-rest)
	}
	if s.State == peer.CopyRuns && j.isNear(rest) {
		s.State = peer.CopyNear
	}
	if j.err != nil {
		s.Error = j.err.Error()
	}
	return s
}

// isNear reports whether so little is left that the guest can wait for it; with mu held. A guest that changes more than
// is copied has to wait longer in the end.
func (j *copying) isNear(rest int64) bool {
	patience := min(copyNearMax, copyNear*time.Duration(1+j.passes/4))
	return j.passes > 0 && j.err == nil && rest <= max(copyFirst, int64(j.speed*patience.Seconds()))
}

// run makes passes until ctx ends, or the clone is lost.
func (j *copying) run(ctx context.Context) {
	defer close(j.done)
	defer j.clone.Close()
	for wait := time.Duration(0); pause.For(ctx, wait); {
		var err error
		if wait, err = j.step(); err != nil {
			wait = copyWait
		}
		if j.failed(err) {
			return
		}
	}
}

// step copies the next piece, unless the copy is held or complete, and returns how long to wait before the next.
func (j *copying) step() (wait time.Duration, err error) {
	j.work.Lock()
	defer j.work.Unlock()
	if !j.passing() {
		return copyWait, nil
	}
	began := time.Now()
	n, err := j.piece()
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		j.at = 0
		j.mu.Lock()
		j.passes++
		j.mu.Unlock()
		if j.dirty.Bytes() < copyFirst {
			return copyWait, nil // the guest's own are few: there is no hurry
		}
		return 0, nil
	}
	took := time.Since(began)
	j.mu.Lock()
	now := float64(n) / max(took, time.Microsecond).Seconds()
	j.speed += (now - j.speed) / 8
	j.mu.Unlock()
	if rate := j.order.Rate; rate > 0 {
		return max(0, time.Duration(float64(n)/float64(rate)*float64(time.Second))-took), nil
	}
	return took, nil // half of the time is the guest's
}

// passing reports whether passes are to be made. A hold that is over by itself is none any more.
func (j *copying) passing() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.state == peer.CopyHeld && j.hold != nil && j.hold.Over() {
		j.state, j.hold = peer.CopyRuns, nil
	}
	return j.state == peer.CopyRuns
}

// piece copies the next range that has to be, and returns its length; zero if there is none to the end of the device.
// No write can be given up: what was given up might land later, after what is copied next.
func (j *copying) piece() (int64, error) {
	r, ok := j.dirty.Take(j.at, int64(len(j.buf)))
	if !ok {
		return 0, nil
	}
	j.at = r.End()
	p := j.buf[:r.Len]
	ctx := context.Background()
	err := j.read(p, r)
	switch {
	case err != nil:
		err = fmt.Errorf("read [%d,+%d): %w", r.Off, r.Len, err)
	case block.IsZero(p):
		err = j.clone.Zero(ctx, r, block.Unmap)
	default:
		err = j.clone.Write(ctx, p, r.Off, 0)
	}
	if err != nil {
		j.dirty.Mark(r)
	}
	return r.Len, err
}

// read reads a range of the volume. The mirror has the buffer for as long as it waits for a leg or a coordinator; when
// the engine's life ends before, so does the copy, and nobody uses the buffer again.
func (j *copying) read(p []byte, r block.Range) error {
	answered := make(chan error, 1)
	j.source.Submit(&block.Request{Op: block.OpRead, Range: r, Data: p,
		Complete: func(_ *block.Request, err error) { answered <- err }})
	select {
	case err := <-answered:
		return err
	case <-j.over:
		return block.ErrClosed
	}
}

// failed notes how the latest piece went, and reports whether the copy is over: its clone is lost.
func (j *copying) failed(err error) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = err
	j.broken = j.broken || errors.Is(err, block.ErrUnreachable) || errors.Is(err, block.ErrClosed)
	return j.broken
}

// resume has passes made again.
func (j *copying) resume() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.state == peer.CopyEnded {
		j.state, j.cut = peer.CopyRuns, volume.UUID{}
	}
}

// stopChanges holds the guest's changes back for a cut, for copyHoldMax at most.
func (c *copier) stopChanges(ctx context.Context, o CopyCut) error {
	j, err := c.of(o.Group)
	if err != nil {
		return err
	}
	j.mu.Lock()
	near := j.state == peer.CopyRuns && j.isNear(j.dirty.Bytes()) && !c.process.isLeaving()
	if near {
		j.state, j.cut = peer.CopyHeld, o.Cut
	}
	j.mu.Unlock()
	if !near {
		return errors.New("too much is left to be copied, or it is held or complete already")
	}
	hold, err := c.tracker.Hold(ctx, copyHoldMax)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.state != peer.CopyHeld || j.cut != o.Cut { // it was released, or ended, while the hold waited
		if err == nil {
			hold.Release()
		}
		return errors.New("it was given up")
	}
	if j.hold = hold; err != nil {
		j.state, j.cut = peer.CopyRuns, volume.UUID{}
		return fmt.Errorf("the guest's changes cannot be held back: %w", err)
	}
	return nil
}

// complete copies the rest and lets the guest go on. Without an error the clone holds, on stable storage, what the
// volume held when its changes stopped.
func (c *copier) complete(o CopyCut) error {
	j, err := c.of(o.Group)
	if err != nil {
		return err
	}
	j.work.Lock()
	defer j.work.Unlock()
	j.mu.Lock()
	hold := j.hold
	held := j.state == peer.CopyHeld && j.cut == o.Cut && hold != nil && !j.broken
	j.mu.Unlock()
	if !held {
		return errors.New("it is not held for that cut")
	}
	err = j.rest(hold)
	if err == nil {
		err = j.clone.Flush(context.Background())
	}
	if !hold.Release() && err == nil {
		err = fmt.Errorf("the rest took longer than the guest may wait (%s)", copyHoldMax)
	}
	j.failed(err)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.hold, j.state = nil, peer.CopyEnded
	if err != nil {
		j.state, j.cut = peer.CopyRuns, volume.UUID{}
	}
	return err
}

// rest copies all that is left, while nothing changes.
func (j *copying) rest(hold *track.Hold) error {
	for j.at = 0; !hold.Over(); {
		n, err := j.piece()
		if err != nil {
			return err
		}
		if n == 0 {
			if j.dirty.Bytes() == 0 {
				return nil
			}
			j.at = 0
		}
	}
	return nil // Release tells
}

// release lets the guest go on without a cut.
func (c *copier) release(group volume.UUID) error {
	j, err := c.of(group)
	if err != nil {
		return err
	}
	j.release()
	return nil
}

func (j *copying) release() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.hold != nil {
		j.hold.Release()
	}
	if j.state == peer.CopyHeld {
		j.hold, j.state, j.cut = nil, peer.CopyRuns, volume.UUID{}
	}
}
