package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// copyScene is a volume and another one that is filled with what it holds.
type copyScene struct {
	t               *testing.T
	source, clone   *runningEngine
	sources, cloned block.Device
	group           volume.UUID
	order           CopyOrder
}

func newCopyScene(t *testing.T) *copyScene {
	t.Helper()
	c := newCluster(t, 2)
	s := &copyScene{t: t, group: volume.NewUUID()}
	for _, name := range []string{"a", "b"} {
		c.createVolume(name, 2)
	}
	s.source, s.clone = c.startEngine(c.grant("a")), c.startEngine(c.grant("b"))
	s.source.waitState(peer.EngineServing)
	s.clone.waitState(peer.EngineServing)
	s.sources, s.cloned = guest(t, s.source, 0), guest(t, s.clone, 0)
	st := s.clone.status()
	s.order = CopyOrder{Group: s.group, Volume: st.Volume, Epoch: st.Epoch, URL: st.Exports[0].URL}
	return s
}

// ask has the volume's engine do what a verb says about the copy.
func (s *copyScene) ask(v Verb, cut volume.UUID) error {
	s.t.Helper()
	r := Request{Verb: v, Cut: &CopyCut{Group: s.group, Cut: cut}}
	if v == VerbCopy {
		r = Request{Verb: v, Copy: &s.order}
	}
	_, response, err := s.source.ask(r)
	if err == nil && response.Error != "" {
		err = errors.New(response.Error)
	}
	return err
}

func (s *copyScene) waitState(state peer.CopyState) {
	s.t.Helper()
	s.source.waitFor(string(state), func(st peer.EngineStatus) bool { return st.Copy != nil && st.Copy.State == state })
}

// same holds that both hold the same, byte by byte.
func (s *copyScene) same(want []byte) {
	s.t.Helper()
	require.Equal(s.t, want, content(s.t, s.cloned))
}

func content(t *testing.T, d block.Device) []byte {
	t.Helper()
	p := make([]byte, d.Limits().SizeBytes)
	require.NoError(t, d.Read(t.Context(), p, 0))
	return p
}

func block4k(b byte) []byte {
	p := make([]byte, 4096)
	for i := range p {
		p[i] = b
	}
	return p
}

// What the clone held before goes, also where the volume holds nothing.
func TestCopy_theCloneHoldsWhatTheVolumeHeldAtTheCut(t *testing.T) {
	s := newCopyScene(t)
	size := s.sources.Limits().SizeBytes
	require.NoError(t, s.cloned.Write(t.Context(), block4k(9), size/2, 0))
	require.NoError(t, s.sources.Write(t.Context(), block4k(1), 0, 0))
	require.NoError(t, s.sources.Write(t.Context(), block4k(2), size-4096, 0))
	require.NoError(t, s.ask(VerbCopy, volume.UUID{}))
	require.NoError(t, s.ask(VerbCopy, volume.UUID{}), "again is the same")
	s.waitState(peer.CopyNear)
	require.NoError(t, s.sources.Write(t.Context(), block4k(3), 4096, 0), "after the pass")

	cut := volume.NewUUID()
	require.NoError(t, s.ask(VerbCopyHold, cut))
	require.Equal(t, peer.CopyHeld, s.source.status().Copy.State)
	waits := make(chan error, 1)
	go func() { waits <- s.sources.Write(context.Background(), block4k(4), 8192, 0) }()
	want := content(t, s.sources) // reads are not held back
	require.Error(t, s.ask(VerbCopyEnd, volume.NewUUID()), "another cut")
	require.Empty(t, waits)
	require.NoError(t, s.ask(VerbCopyEnd, cut))
	require.NoError(t, <-waits)
	st := s.source.status().Copy
	require.Equal(t, peer.CopyEnded, st.State)
	require.Equal(t, cut, st.Cut)
	require.Zero(t, st.Error)
	s.same(want)
	require.Equal(t, block4k(4), content(t, s.sources)[8192:12288])

	// Nothing is copied any more, until somebody says so.
	require.NoError(t, s.ask(VerbCopyStop, volume.UUID{}))
	require.NoError(t, s.ask(VerbCopyStop, volume.UUID{}))
	require.Nil(t, s.source.status().Copy)
	s.same(want)

	// Nor is it ever copied onto in this attachment: somebody may hear late that it was complete.
	require.NoError(t, s.ask(VerbCopy, volume.UUID{}))
	require.True(t, s.source.status().Copy.Lost)
	require.NoError(t, s.ask(VerbCopyStop, volume.UUID{}))
	s.same(want)
}

// A guest that writes all the time: what was acknowledged before the cut is in the clone, and nothing that came after.
func TestCopy_besideAGuestThatWrites(t *testing.T) {
	s := newCopyScene(t)
	const writers = 4
	stop, running := make(chan struct{}), sync.WaitGroup{}
	blocks := s.sources.Limits().SizeBytes / 4096
	for w := range int64(writers) { // each has blocks of its own, and numbers its writes
		running.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for n := uint64(1); ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				p := make([]byte, 4096)
				binary.BigEndian.PutUint64(p, n)
				at := 4096 * (r.Int64N(blocks/writers)*writers + w)
				if err := s.sources.Write(context.Background(), p, at, 0); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	require.NoError(t, s.ask(VerbCopy, volume.UUID{}))
	for range 3 {
		cut := volume.NewUUID()
		require.Eventually(t, func() bool { return s.ask(VerbCopyHold, cut) == nil }, 20*time.Second,
			10*time.Millisecond)
		want := content(t, s.sources)
		require.NoError(t, s.ask(VerbCopyEnd, cut))
		s.same(want)
		require.NoError(t, s.ask(VerbCopy, volume.UUID{})) // it goes on
	}
	close(stop)
	running.Wait()
}

// Who asked for a hold is gone: the guest goes on by itself, and the copy too.
func TestCopy_aHoldEndsByItself(t *testing.T) {
	s := newCopyScene(t)
	require.NoError(t, s.ask(VerbCopy, volume.UUID{}))
	s.waitState(peer.CopyNear)
	cut := volume.NewUUID()
	require.NoError(t, s.ask(VerbCopyHold, cut))
	began := time.Now()
	require.NoError(t, s.sources.Write(t.Context(), block4k(1), 0, 0))
	require.Greater(t, time.Since(began), copyHoldMax/2)
	require.Error(t, s.ask(VerbCopyEnd, cut), "it was not held all the time")
	s.waitState(peer.CopyNear)
	require.NoError(t, s.ask(VerbCopyHold, volume.NewUUID()))
	require.NoError(t, s.ask(VerbCopyRelease, volume.UUID{}))
	require.NoError(t, s.sources.Write(t.Context(), block4k(2), 0, 0))
}

// The clone's engine is gone: the copy says so, and keeps nobody from anything.
func TestCopy_theCloneIsLost(t *testing.T) {
	s := newCopyScene(t)
	require.NoError(t, s.ask(VerbCopy, volume.UUID{}))
	s.waitState(peer.CopyNear)
	s.clone.stop()
	require.NoError(t, s.sources.Write(t.Context(), block4k(1), 0, 0))
	s.source.waitFor("the clone's loss", func(st peer.EngineStatus) bool { return st.Copy.Lost && st.Copy.Error != "" })
	require.Error(t, s.ask(VerbCopyHold, volume.NewUUID()))
	require.NoError(t, s.ask(VerbCopyStop, volume.UUID{}))
	s.order.Epoch++
	require.Error(t, s.ask(VerbCopy, volume.UUID{}), "nobody is there")
}

// The engine ends as ever while its guest waits for a cut.
func TestCopy_theVolumeIsDetachedWhileItIsHeld(t *testing.T) {
	s := newCopyScene(t)
	require.NoError(t, s.ask(VerbCopy, volume.UUID{}))
	s.waitState(peer.CopyNear)
	require.NoError(t, s.ask(VerbCopyHold, volume.NewUUID()))
	ended := make(chan error, 1)
	go func() { ended <- s.sources.Write(context.Background(), block4k(1), 0, 0) }()
	_, _, err := s.source.ask(Request{Verb: VerbDetach})
	require.NoError(t, err)
	require.NoError(t, <-ended)
	require.NoError(t, s.source.wait())
}
