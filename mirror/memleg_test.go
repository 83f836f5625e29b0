package mirror

import (
	"context"
	"crypto/subtle"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// memLeg is a leg in memory that keeps the contract of Leg, for tests of the runner. The whole of
// it is one region.
type memLeg struct {
	id volume.LegID

	mu       sync.Mutex
	data     []byte
	cfg      volume.Config
	fence    volume.Epoch
	boot     volume.UUID
	openBoot volume.UUID
	instance uint64
	marked   uint64 // window of the latest write; zero = unmarked
	gen      uint64
	flushes  int
	reach    bool                      // logins succeed
	fenced   bool                      // everything answers ErrFenced
	hold     bool                      // requests are not answered before the session ends
	latency  time.Duration             // of everything
	stopped  time.Duration             // its node runs for 50 ms, then stands still for so long, over and over
	deaf     func(*block.Request) bool // which requests are not answered before the session ends
	changes  uint64
	seq      uint64 // of the label
	session  *memSession
	sink     LegSink
	bad      map[int64]bool // blocks that cannot be read
	stop     chan struct{}
	stopOnce sync.Once
	done     chan struct{}
}

type memSession struct {
	ended   chan struct{}
	once    sync.Once
	pending sync.WaitGroup
}

func (s *memSession) end() { s.once.Do(func() { close(s.ended) }) }

func newMemLeg(size int64) *memLeg {
	return &memLeg{id: volume.NewLegID(), data: make([]byte, size), boot: volume.NewUUID(), instance: 1, gen: 1,
		reach: true, bad: map[int64]bool{}, stop: make(chan struct{}), done: make(chan struct{})}
}

func (l *memLeg) ID() volume.LegID { return l.id }

func (l *memLeg) Start(sink LegSink) {
	l.sink = sink
	go l.run()
}

func (l *memLeg) run() {
	defer close(l.done)
	for {
		if s, report, err := l.login(); err != nil {
			l.sink.Down(l.id, err)
		} else {
			l.sink.Up(l.id, report)
			select {
			case <-s.ended:
			case <-l.stop:
				s.end()
			}
			l.mu.Lock()
			l.session = nil
			l.mu.Unlock()
			s.pending.Wait()
			select {
			case <-l.stop:
				return
			default:
			}
			l.sink.Down(l.id, l.cause())
		}
		select {
		case <-l.stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (l *memLeg) cause() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fenced {
		return fmt.Errorf("leg: %w", block.ErrFenced)
	}
	return fmt.Errorf("leg: %w", block.ErrUnreachable)
}

func (l *memLeg) login() (*memSession, volume.LegReport, error) {
	if !l.reachable() {
		return nil, volume.LegReport{}, l.cause()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.marked == 0 {
		l.openBoot = l.boot
	}
	l.session = &memSession{ended: make(chan struct{})}
	return l.session, volume.LegReport{
		Label: volume.Label{LegID: l.id, FenceEpoch: l.fence, Config: l.cfg.Clone(), Marked: l.marked != 0,
			SlotSeq: l.seq},
		BootID: l.boot, Instance: l.instance, Lossy: l.marked != 0 && l.boot != l.openBoot,
		Changes: l.changes,
	}, nil
}

func (l *memLeg) reachable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reach && !l.fenced
}

// set changes the leg and ends its session.
func (l *memLeg) set(change func(*memLeg)) {
	l.mu.Lock()
	change(l)
	s := l.session
	l.mu.Unlock()
	if s != nil {
		s.end()
	}
}

// begin registers a request with the current session, nil if there is none.
func (l *memLeg) begin() *memSession {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != nil {
		l.session.pending.Add(1)
	}
	return l.session
}

func (l *memLeg) Submit(r *block.Request) {
	s := l.begin()
	if s == nil {
		r.Complete(r, l.cause())
		return
	}
	go func() {
		defer s.pending.Done()
		r.Complete(r, l.do(s, r))
	}()
}

func (l *memLeg) do(s *memSession, r *block.Request) error {
	l.mu.Lock()
	hold, latency := l.hold || l.deaf != nil && l.deaf(r), l.latency
	if l.stopped > 0 {
		const runs = 50 * time.Millisecond
		if at := time.Duration(time.Now().UnixNano()) % (runs + l.stopped); at >= runs {
			latency = runs + l.stopped - at
		}
	}
	l.mu.Unlock()
	if latency > 0 {
		select {
		case <-time.After(latency):
		case <-s.ended:
			return l.cause()
		}
	}
	if hold {
		<-s.ended
		return l.cause()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fenced {
		return block.ErrFenced
	}
	for b := r.Range.Off / BlockBytes; b*BlockBytes < r.Range.End(); b++ {
		if r.Op == block.OpRead && l.bad[b] {
			return fmt.Errorf("block %d: %w", b, block.ErrMedium)
		}
		delete(l.bad, b)
	}
	switch r.Op {
	case block.OpRead:
		copy(r.Data, l.data[r.Range.Off:r.Range.End()])
	case block.OpWrite:
		copy(l.data[r.Range.Off:r.Range.End()], r.Data)
		l.mark()
	case block.OpZero:
		clear(l.data[r.Range.Off:r.Range.End()])
		l.mark()
	case block.OpFlush:
		l.flushes++
	}
	return nil
}

// mark notes a change; l.mu is held.
func (l *memLeg) mark() {
	if l.changes++; l.marked == 0 {
		l.seq++
	}
	l.marked = l.gen
}

// be changes the leg and lets its session live.
func (l *memLeg) be(change func(*memLeg)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

func (l *memLeg) Reset(string) { l.set(func(*memLeg) {}) }

func (l *memLeg) Ping(done func(error)) {
	s := l.begin()
	if s == nil {
		done(l.cause())
		return
	}
	go func() {
		defer s.pending.Done()
		done(l.do(s, &block.Request{}))
	}()
}

// command runs f on the session of the moment, if ctx still stands.
func (l *memLeg) command(ctx context.Context, f func()) error {
	s := l.begin()
	if s == nil {
		return l.cause()
	}
	defer s.pending.Done()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := l.do(s, &block.Request{}); err != nil { // as slow as anything else
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	return nil
}

func (l *memLeg) Config(ctx context.Context, c volume.Config) error {
	return l.command(ctx, func() {
		l.cfg, l.openBoot = c.Clone(), l.boot
		l.seq++
	})
}

func (l *memLeg) Rotate(ctx context.Context) (rotation Rotation, err error) {
	err = l.command(ctx, func() {
		rotation.Generation = l.gen
		l.gen++
	})
	return rotation, err
}

func (l *memLeg) Stable(ctx context.Context, gen uint64) (uint64, error) {
	return 0, l.command(ctx, func() {
		if l.marked <= gen {
			l.marked = 0
		}
	})
}

func (l *memLeg) Marks(ctx context.Context, _ volume.CfgVer) (marked, newer []block.Range, err error) {
	err = l.command(ctx, func() {
		all := []block.Range{{Len: int64(len(l.data))}}
		if newer = all; l.marked != 0 {
			marked = all
		}
	})
	return marked, newer, err
}

func (l *memLeg) Checksums(ctx context.Context, r block.Range, _ bool) (sums Checksums, err error) {
	err = l.command(ctx, func() {
		for b := range slices.Chunk(l.data[r.Off:r.End()], BlockBytes) {
			if n := int64(len(sums.Sums)); l.bad[r.Off/BlockBytes+n] {
				sums.Bad = append(sums.Bad, uint32(n))
			}
			sums.Sums = append(sums.Sums, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
		}
	})
	return sums, err
}

func (l *memLeg) Adopt(ctx context.Context, _ block.Range) error { return l.command(ctx, func() {}) }

func (l *memLeg) Versions(ctx context.Context, _ volume.CfgVer) (runs []volume.VersionRun, err error) {
	err = l.command(ctx, func() { runs = []volume.VersionRun{{Count: 1, Version: max(l.cfg.CfgVer, 1)}} })
	return runs, err
}

func (l *memLeg) Stamp(ctx context.Context, _ []volume.VersionRun) error {
	return l.command(ctx, func() {})
}

// Stage applies a record at once: this leg never loses anything.
func (l *memLeg) Stage(r *StageRequest) {
	s := l.begin()
	if s == nil {
		r.Complete(r, l.cause())
		return
	}
	go func() {
		defer s.pending.Done()
		if err := l.do(s, &block.Request{}); err != nil {
			r.Complete(r, err)
			return
		}
		l.be(func(l *memLeg) {
			home := l.data[r.Record.FirstBlock*BlockBytes:][:r.Record.Blocks*BlockBytes]
			if r.Record.Kind == volume.RecordDelta {
				subtle.XORBytes(home, home, r.Data)
			} else {
				copy(home, r.Data)
			}
			l.mark()
		})
		r.Complete(r, nil)
	}()
}

func (l *memLeg) Commit(ctx context.Context, _ volume.Transaction) error {
	return l.command(ctx, func() {})
}

func (l *memLeg) Free(ctx context.Context, _ volume.Transaction) error {
	return l.command(ctx, func() {})
}

func (l *memLeg) Records(ctx context.Context) (volume.Records, error) {
	return volume.Records{}, l.command(ctx, func() {})
}

func (l *memLeg) Rollback(ctx context.Context, _ []volume.Transaction) error {
	return l.command(ctx, func() {})
}

func (l *memLeg) Drop(ctx context.Context, _ volume.Transaction) error {
	return l.command(ctx, func() {})
}

func (l *memLeg) Detach(ctx context.Context, _ bool) (uint64, error) {
	return 0, l.command(ctx, func() {})
}

func (l *memLeg) Stop() {
	l.stopOnce.Do(func() { close(l.stop) })
	if l.sink != nil {
		<-l.done
	}
}

func (l *memLeg) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.data)
}

// memAuthority is one volume's coordinators for one epoch.
type memAuthority struct {
	mu     sync.Mutex
	cfg    volume.Config
	active bool
	down   bool
	lossy  []volume.LegID
	clean  *bool // of Detach
}

func (a *memAuthority) ask(f func() error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down {
		return fmt.Errorf("no coordinator answers")
	}
	return f()
}

func (a *memAuthority) RecordFence(_ context.Context, _ volume.Epoch, r volume.LegReport, _ bool) (Fenced, error) {
	return Fenced{}, a.ask(func() error {
		if r.Lossy {
			a.lossy = append(a.lossy, r.Label.LegID)
		}
		return nil
	})
}

func (a *memAuthority) Activate(context.Context, volume.Epoch) (act Activation, err error) {
	err = a.ask(func() error {
		if !a.active {
			a.active = true
			a.cfg.CfgVer++
		}
		act = Activation{Config: a.cfg.Clone(), Lossy: a.lossy}
		return nil
	})
	return act, err
}

func (a *memAuthority) RemoveLeg(_ context.Context, _ volume.Epoch, leg volume.LegID, _ volume.CfgVer,
	_ string, _ bool, _ []volume.LegSeq) (c volume.Config, err error) {
	err = a.ask(func() error {
		a.cfg.CfgVer++
		a.cfg.InSync = slices.DeleteFunc(a.cfg.Clone().InSync, func(id volume.LegID) bool { return id == leg })
		c = a.cfg.Clone()
		return nil
	})
	return c, err
}

func (a *memAuthority) AddLeg(_ context.Context, _ volume.Epoch, cfgver volume.CfgVer, leg volume.LegID,
	_ volume.StoreID, _ uint64) (c volume.Config, err error) {
	err = a.ask(func() error {
		if cfgver != a.cfg.CfgVer {
			return ErrRetry
		}
		a.cfg.CfgVer++
		a.cfg.InSync = append(a.cfg.Clone().InSync, leg)
		c = a.cfg.Clone()
		return nil
	})
	return c, err
}

// ConfirmCopy keeps nothing, as coordinators of an older version.
func (a *memAuthority) ConfirmCopy(context.Context, volume.Epoch, volume.CfgVer, volume.LegID, volume.StoreID,
	uint64, Copied, []volume.LegSeq) (volume.Config, error) {
	return volume.Config{}, ErrWait
}

func (a *memAuthority) Confirm(context.Context, volume.Epoch, volume.CfgVer, []volume.LegSeq) error {
	return a.ask(func() error { return nil })
}

func (a *memAuthority) Detach(_ context.Context, _ volume.Epoch, clean bool, _ []volume.LegSeq) error {
	return a.ask(func() error {
		a.clean = &clean
		return nil
	})
}

func (a *memAuthority) setDown(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

// config returns the configuration that is committed.
func (a *memAuthority) config() volume.Config {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cfg.Clone()
}
