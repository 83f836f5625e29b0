package leg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// Leg is one open leg: it does for its Core what touches the disk. It is safe for use by many
// goroutines and holds no lock across I/O.
type Leg struct {
	store   *Store
	id      volume.LegID
	fixed   volume.Label // as it was when the leg was opened; only fields that never change are used
	data    *checkedData
	labels  *labelFile // used by the one goroutine of an EffectPersist, like marks
	marks   *regionsFile
	syncs   syncer     // of data and checksums
	staged  *journaled // the data with its journal, nil for a leg of a mirror, or one that has failed
	journal File       // of a leg of parity, to be closed
	limits  block.Limits
	log     *slog.Logger

	running sync.WaitGroup // goroutines of effects; Add only under mu, never after Stop

	mu      sync.Mutex
	core    *Core
	lastOp  OpID
	waiters map[OpID]chan Effect              // of EffectReply
	kills   map[SessionID]func(reason string) // of sessions that live
	stopped bool
	drained chan struct{} // closed once stopped and nothing is inside the gate
	slot    int           // of the label file that counts, for Check
	probes  int64         // how many blocks of data Check has read
}

// maxRequestBytes bounds a request to a leg.
const maxRequestBytes = 8 << 20

func newLeg(s *Store, files legFiles, label volume.Label, regions *Regions) *Leg {
	labels, data := files.labels, files.data
	below := data.data.Limits()
	l := &Leg{
		store: s, id: label.LegID, fixed: label, data: data, labels: labels, marks: files.marks,
		core: NewCore(CoreOptions{Label: label, Regions: regions, Boot: s.boot, Instance: s.instance,
			Broken: s.broken}),
		waiters: map[OpID]chan Effect{}, kills: map[SessionID]func(string){},
		drained: make(chan struct{}), slot: labels.current,
		log: s.log.With("leg", label.LegID.String()),
		limits: block.Limits{
			SizeBytes: label.LegBytes(), BlockBytes: volume.BlockBytes, MaxBytes: maxRequestBytes,
			CanUnmap: below.CanUnmap, Volatile: label.Durability == volume.DurabilityFlush,
		},
	}
	if below.MaxBytes > 0 {
		l.limits.MaxBytes = min(l.limits.MaxBytes, below.MaxBytes)
	}
	l.syncs.sync = l.syncData
	if files.core != nil {
		l.staged = newJournaled(files.journal, files.core, data, s.broken)
		l.staged.homeSync, l.staged.unfinished = l.syncs.do, files.unfinished
	}
	if files.journal != nil {
		l.journal = files.journal.file
	}
	return l
}

// ID names the leg.
func (l *Leg) ID() volume.LegID { return l.id }

// Label returns the label that is on the disk.
func (l *Leg) Label() volume.Label {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.core.Durable()
}

// Status is what can be said of a leg without touching the disk.
type Status struct {
	Label    volume.Label // as it is on the disk
	Failed   error        // why the leg refuses everything, nil while it is well
	Sessions int          // that are open
	Counters Counters

	Mismatches uint64 // READs refused since it was opened, because a block did not match its checksum
}

// Status returns the leg's status.
func (l *Leg) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Status{
		Label: l.core.Durable(), Failed: l.core.Failed(), Sessions: l.core.Sessions(),
		Counters: l.core.Counters(), Mismatches: l.data.mismatches.Load(),
	}
}

// Login admits a login or refuses it with a *RefusedError. It blocks until what the login fences
// has ended and the label is durable, or until ctx ends; a fence that has begun is not undone then.
// kill ends the session's connections at once, without waiting; it is called at most once, also
// before Login returns. The caller must Close the session in the end.
func (l *Leg) Login(ctx context.Context, login Login, kill func(reason string)) (*Session, error) {
	var id SessionID
	reply, err := l.wait(ctx, func(op OpID) {
		// A newer login may kill the session before this one has its reply.
		if id = l.core.Login(op, login); id != 0 {
			l.kills[id] = kill
		}
	})
	if err == nil {
		err = reply.Err
	}
	if err != nil {
		l.mu.Lock()
		delete(l.kills, id)
		l.mu.Unlock()
		return nil, err
	}
	l.log.Info("leg login", "epoch", login.Epoch.String(), "attach", login.Attach.String())
	return &Session{leg: l, id: reply.Session, login: login}, nil
}

// Close stops the leg: sessions are killed, requests in flight are waited for, and the files are
// closed. It is safe to call twice.
func (l *Leg) Close() error {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		<-l.drained
		return nil
	}
	l.stopped = true
	well := l.core.Failed() == nil
	l.core.Stop()
	if l.core.Inflight() == 0 {
		close(l.drained)
	}
	l.unlockAndDo()
	<-l.drained
	l.running.Wait()
	l.store.forget(l.id)
	var err error
	if well && l.staged != nil {
		err = l.endJournal()
	}
	return errors.Join(err, l.release())
}

// endJournal ends the journal of a leg of parity. One that cannot be synced has lost what was answered.
func (l *Leg) endJournal() error {
	err := l.staged.Close()
	if errors.Is(err, block.ErrFailed) {
		l.store.recordFailure(l.id, err)
	}
	if err != nil {
		return fmt.Errorf("leg %s: close: %w", l.id, err)
	}
	return nil
}

// release closes the files.
func (l *Leg) release() error {
	err := errors.Join(l.labels.file.Close(), l.marks.file.Close(), l.data.Close())
	if l.journal != nil {
		err = errors.Join(err, l.journal.Close())
	}
	if err != nil {
		return fmt.Errorf("leg %s: close: %w", l.id, err)
	}
	return nil
}

// wait gives the core an event under a new OpID and waits for its reply. The error is ctx's.
func (l *Leg) wait(ctx context.Context, event func(OpID)) (Effect, error) {
	reply := make(chan Effect, 1)
	l.mu.Lock()
	l.lastOp++
	op := l.lastOp
	l.waiters[op] = reply
	event(op)
	l.unlockAndDo()
	select {
	case e := <-reply:
		return e, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	if _, waiting := l.waiters[op]; !waiting {
		l.mu.Unlock()
		return <-reply, nil // it came at the same moment, and counts
	}
	delete(l.waiters, op)
	l.core.Abandon(op)
	l.unlockAndDo()
	return Effect{}, fmt.Errorf("leg %s: %w", l.id, ctx.Err())
}

// unlockAndDo takes the core's effects, unlocks and does them. Replies are given under the lock: they
// never block.
func (l *Leg) unlockAndDo() {
	effects := l.core.Effects()
	var kills []func(string)
	for _, e := range effects {
		switch e.Kind {
		case EffectReply:
			if reply := l.waiters[e.Op]; reply != nil {
				delete(l.waiters, e.Op)
				reply <- e
			}
		case EffectKill:
			if kill := l.kills[e.Session]; kill != nil {
				delete(l.kills, e.Session)
				kills = append(kills, kill)
			}
		default:
			l.running.Add(1)
		}
	}
	l.mu.Unlock()
	for _, kill := range kills {
		kill("fenced, reinstated or closed by the leg")
	}
	for _, e := range effects {
		l.do(e)
	}
}

// do starts an effect that touches the disk.
func (l *Leg) do(e Effect) {
	var work func()
	switch e.Kind {
	case EffectPersist:
		work = func() { l.persist(e) }
	case EffectSync:
		work = func() {
			err := l.syncAll()
			l.mu.Lock()
			l.core.Synced(e.Op, err)
			l.unlockAndDo()
		}
	case EffectFailed:
		work = func() { l.store.recordFailure(l.id, e.Err) }
	default:
		return
	}
	go func() {
		defer l.running.Done()
		work()
	}()
}

// persist does an EffectPersist.
func (l *Leg) persist(e Effect) {
	written, err := e.Label, error(nil)
	if len(e.Sectors) > 0 {
		err = l.marks.write(e.Sectors)
	}
	if err == nil && e.WriteLabel {
		written, err = l.labels.write(e.Label)
	}
	l.mu.Lock()
	before := l.core.Durable()
	l.slot = l.labels.current
	l.core.Persisted(written, err)
	l.unlockAndDo()
	if err == nil && e.WriteLabel {
		l.logTransition(before, written)
	}
}

// logTransition says what changed in the durable label.
func (l *Leg) logTransition(from, to volume.Label) {
	if from.FenceEpoch != to.FenceEpoch {
		l.log.Info("leg fenced", "from", from.FenceEpoch.String(), "to", to.FenceEpoch.String())
	}
	if !from.Config.Equal(to.Config) {
		l.log.Info("leg configured", "from", from.Config.CfgVer.String(), "to", to.Config.CfgVer.String())
	}
	if to.Closed && !from.Closed {
		l.log.Info("leg detached", "epoch", to.FenceEpoch.String(), "clean", to.Clean)
	}
}

// syncData puts the data on stable storage. Whatever the error, the kernel may have dropped the
// pages: there is no second try.
func (l *Leg) syncData() error {
	err := l.data.Flush(context.Background())
	if err != nil && !errors.Is(err, block.ErrClosed) {
		return fmt.Errorf("sync: %w: %w", block.ErrFailed, err)
	}
	return err
}

// syncAll puts on stable storage what marks and a clean end speak of: the journal first, so that what is at home of it
// can be written again.
func (l *Leg) syncAll() error {
	if l.staged != nil {
		if err := l.staged.Sync(); err != nil {
			return err
		}
	}
	return l.syncs.do()
}

// fail makes the leg refuse everything from now on.
func (l *Leg) fail(err error) {
	l.mu.Lock()
	l.core.Fail(err)
	l.unlockAndDo()
}

// CheckEpoch returns the *RefusedError that a login of this epoch will meet because it is fenced, nil
// if it may try. It counts the refusal and changes nothing else.
func (l *Leg) CheckEpoch(e volume.Epoch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.core.CheckEpoch(e)
}
