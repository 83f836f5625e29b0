package sim_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
)

// fileNode is a storage node with one leg in files, as a process that can be started anew, in the same boot or another.
type fileNode struct {
	t    *testing.T
	spec leg.Spec
	dir  string
	fs   leg.FS

	mu     sync.Mutex
	boot   int
	starts uint64
	store  *leg.Store
	leg    *leg.Leg // nil while the node is down
}

func newFileNode(t *testing.T, spec leg.Spec) *fileNode {
	dir := t.TempDir()
	n := &fileNode{t: t, spec: spec, dir: dir, fs: leg.OSFS(dir)}
	require.NoError(t, leg.InitStore(n.fs, volume.NewStoreID(), volume.NewNodeID()))
	n.openStore()
	require.NoError(t, n.store.Provision(spec))
	n.openLeg()
	t.Cleanup(n.stop)
	return n
}

func (n *fileNode) openStore() {
	n.starts++
	s, err := leg.OpenStore(n.fs, leg.StoreOptions{BootID: fmt.Sprintf("boot-%d", n.boot), Instance: n.starts})
	require.NoError(n.t, err)
	n.store = s
}

func (n *fileNode) openLeg() {
	l, err := n.store.OpenLeg(n.spec.Leg)
	require.NoError(n.t, err)
	n.leg = l
}

// start starts the process; reboot says that the machine was started anew before, so that caches count as lost.
func (n *fileNode) start(reboot bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if reboot {
		n.boot++
	}
	n.openStore()
	n.openLeg()
}

func (n *fileNode) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.leg != nil {
		_ = n.leg.Close()
		n.leg = nil
	}
	if n.store != nil {
		require.NoError(n.t, n.store.Close())
		n.store = nil
	}
}

// rot spoils blocks of the leg's data.
func (n *fileNode) rot(blocks ...int64) {
	f, err := os.OpenFile(filepath.Join(n.dir, "legs", n.spec.Leg.String(), "data"), os.O_WRONLY, 0)
	require.NoError(n.t, err)
	defer f.Close()
	for _, b := range blocks {
		_, err := f.WriteAt([]byte("rotten"), b*4096+77)
		require.NoError(n.t, err)
	}
}

// open returns the leg, nil while the node is down.
func (n *fileNode) open() *leg.Leg {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leg
}

// fileLeg is a leg in files as an engine reaches it, without a network between.
type fileLeg struct {
	node  *fileNode
	epoch volume.Epoch
	id    volume.AttachID
	sink  mirror.LegSink
	stop  context.CancelFunc
	done  chan struct{}

	mu      sync.Mutex
	session *fileSession
}

type fileSession struct {
	*leg.Session
	ctx     context.Context
	end     context.CancelCauseFunc
	pending sync.WaitGroup
}

func (l *fileLeg) ID() volume.LegID { return l.node.spec.Leg }

func (l *fileLeg) Start(sink mirror.LegSink) {
	life, stop := context.WithCancel(context.Background())
	l.sink, l.stop, l.done = sink, stop, make(chan struct{})
	go func() {
		defer close(l.done)
		for life.Err() == nil {
			if err := l.once(life); err != nil && life.Err() == nil {
				l.sink.Down(l.ID(), err)
			}
			select {
			case <-life.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
}

// once is one session, from its login to its end.
func (l *fileLeg) once(life context.Context) error {
	at := l.node.open()
	if at == nil {
		return block.ErrUnreachable
	}
	ctx, end := context.WithCancelCause(life)
	defer end(nil)
	opened, err := at.Login(ctx, leg.Login{Epoch: l.epoch, Attach: l.id}, func(string) { end(block.ErrUnreachable) })
	if err != nil {
		return l.cause(err)
	}
	defer opened.Close()
	report, err := opened.Report()
	if err != nil {
		return l.cause(err)
	}
	s := &fileSession{Session: opened, ctx: ctx, end: end}
	l.set(s)
	l.sink.Up(l.ID(), report)
	for ctx.Err() == nil && l.node.open() == at {
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
	l.set(nil)
	end(block.ErrUnreachable)
	s.pending.Wait()
	return block.ErrUnreachable
}

// cause gives an error the meaning that it has behind a network.
func (l *fileLeg) cause(err error) error {
	if err == nil || errors.Is(err, block.ErrFenced) {
		return err
	}
	for _, plain := range []error{block.ErrMedium, block.ErrNoSpace} {
		if errors.Is(err, plain) {
			return err
		}
	}
	if errors.Is(err, block.ErrClosed) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: %w", block.ErrUnreachable, err)
	}
	return fmt.Errorf("%w: %w", block.ErrFailed, err)
}

func (l *fileLeg) set(s *fileSession) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session = s
}

// with runs do on the session of the moment.
func (l *fileLeg) with(do func(s *fileSession) error) error {
	l.mu.Lock()
	s := l.session
	if s != nil {
		s.pending.Add(1)
	}
	l.mu.Unlock()
	if s == nil {
		return block.ErrUnreachable
	}
	defer s.pending.Done()
	return l.cause(do(s))
}

func (l *fileLeg) command(ctx context.Context, do func(s *fileSession) error) error {
	return l.with(func(s *fileSession) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return do(s)
	})
}

func (l *fileLeg) Submit(r *block.Request) {
	go func() {
		r.Complete(r, l.with(func(s *fileSession) error {
			switch r.Op {
			case block.OpRead:
				return s.Read(s.ctx, r.Data, r.Range.Off)
			case block.OpWrite:
				return s.Write(s.ctx, r.Data, r.Range.Off, r.Flags)
			case block.OpFlush:
				return s.Flush(s.ctx)
			}
			return s.Zero(s.ctx, r.Range, r.Flags)
		}))
	}()
}

func (l *fileLeg) Stage(r *mirror.StageRequest) {
	go func() {
		r.Complete(r, l.with(func(s *fileSession) error { return s.Stage(s.ctx, r.Record, r.Data) }))
	}()
}

func (l *fileLeg) Ping(done func(error)) { go done(l.with(func(*fileSession) error { return nil })) }

func (l *fileLeg) Reset(string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != nil {
		l.session.end(block.ErrUnreachable)
	}
}

func (l *fileLeg) Stop() {
	if l.stop != nil {
		l.stop()
		<-l.done
	}
}

func (l *fileLeg) Config(ctx context.Context, c volume.Config) error {
	return l.command(ctx, func(s *fileSession) error { return s.Config(ctx, l.epoch, c) })
}

func (l *fileLeg) Commit(ctx context.Context, upTo volume.Transaction) error {
	return l.command(ctx, func(s *fileSession) error { return s.Commit(ctx, upTo) })
}

func (l *fileLeg) Free(ctx context.Context, upTo volume.Transaction) error {
	return l.command(ctx, func(s *fileSession) error { return s.Free(ctx, upTo) })
}

func (l *fileLeg) Rollback(ctx context.Context, list []volume.Transaction) error {
	return l.command(ctx, func(s *fileSession) error { return s.Rollback(ctx, list) })
}

func (l *fileLeg) Drop(ctx context.Context, floor volume.Transaction) error {
	return l.command(ctx, func(s *fileSession) error { return s.Drop(ctx, floor) })
}

func (l *fileLeg) Records(ctx context.Context) (all volume.Records, err error) {
	err = l.command(ctx, func(s *fileSession) error {
		for from := uint64(0); ; {
			page, next, err := s.Records(ctx, from, 7)
			if err != nil {
				return err
			}
			all.Floor, all.Records = page.Floor, append(all.Records, page.Records...)
			if from = next; next == 0 {
				return nil
			}
		}
	})
	return all, err
}

func (l *fileLeg) Rotate(ctx context.Context) (r mirror.Rotation, err error) {
	err = l.command(ctx, func(s *fileSession) (err error) {
		r.Generation, r.Seq, err = s.Rotate()
		return err
	})
	return r, err
}

func (l *fileLeg) Stable(ctx context.Context, gen uint64) (seq uint64, err error) {
	err = l.command(ctx, func(s *fileSession) error {
		err := s.Stable(ctx, gen)
		seq = s.Progress()
		return err
	})
	return seq, err
}

func (l *fileLeg) Detach(ctx context.Context, clean bool) (seq uint64, err error) {
	err = l.command(ctx, func(s *fileSession) error {
		err := s.Detach(ctx, clean)
		seq = s.Progress()
		return err
	})
	return seq, err
}

func (l *fileLeg) Marks(ctx context.Context, since volume.CfgVer) (marked, newer []block.Range, err error) {
	err = l.command(ctx, func(s *fileSession) error {
		for first := uint32(0); ; {
			page, err := s.Marks(since, first)
			if err != nil {
				return err
			}
			for _, run := range page.Runs {
				r := block.Range{Off: int64(run.First) * volume.RegionBytes, Len: int64(run.Count) * volume.RegionBytes}
				if run.Marked {
					marked = append(marked, r)
				}
				if run.Newer {
					newer = append(newer, r)
				}
			}
			if first = page.Next; first >= page.Regions {
				return nil
			}
		}
	})
	return marked, newer, err
}

func (l *fileLeg) Versions(ctx context.Context, since volume.CfgVer) (runs []volume.VersionRun, err error) {
	err = l.command(ctx, func(s *fileSession) error {
		for first := uint32(0); ; {
			page, err := s.Versions(since, first)
			if err != nil {
				return err
			}
			runs = append(runs, page.Runs...)
			if first = page.Next; first >= page.Regions {
				return nil
			}
		}
	})
	return runs, err
}

func (l *fileLeg) Stamp(ctx context.Context, runs []volume.VersionRun) error {
	return l.command(ctx, func(s *fileSession) error { return s.Stamp(ctx, runs) })
}

func (l *fileLeg) Checksums(ctx context.Context, r block.Range, medium bool) (sums mirror.Checksums, err error) {
	err = l.command(ctx, func(s *fileSession) (err error) {
		sums.Sums, sums.Bad, err = s.Checksums(ctx, r, medium)
		return err
	})
	return sums, err
}

func (l *fileLeg) Adopt(ctx context.Context, r block.Range) error {
	return l.command(ctx, func(s *fileSession) error { return s.Adopt(ctx, r) })
}
