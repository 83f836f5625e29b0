package coordinator

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// room returns what n1 may still promise.
func (w *world) room() int64 {
	w.t.Helper()
	n, err := w.api.Node(w.t.Context(), "n1")
	require.NoError(w.t, err)
	return n.Stores[0].Promisable
}

// ask creates a volume of one leg on n1.
func (w *world) ask(name string, bytes int64) error {
	_, err := w.api.CreateVolume(w.t.Context(), api.CreateVolume{Name: name, SizeBytes: bytes >> 12 << 12,
		Layout: "mirror=1", LegsOn: []string{"n1"}, Wait: api.Wait{NoWait: true}})
	return err
}

// hold lets the commands for which is says so wait for an answer: whether each is lost, and with which error.
func (w *world) hold(is func(raft.Command) bool) chan<- answer {
	answers := make(chan answer)
	w.raft.mu.Lock()
	defer w.raft.mu.Unlock()
	w.raft.gate = func(_ context.Context, c raft.Command) (bool, error) {
		if !is(c) {
			return false, nil
		}
		a := <-answers
		return a.isLost, a.err
	}
	return answers
}

type answer struct {
	isLost bool
	err    error
}

func creates(name string) func(raft.Command) bool {
	return func(c raft.Command) bool { return c.CreateVolume != nil && c.CreateVolume.Name == name }
}

// TestReserve_aSlowCommitHoldsNobodyUp: others are created meanwhile, and what the slow one was promised is not theirs.
func TestReserve_aSlowCommitHoldsNobodyUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		answers := w.hold(creates("slow"))
		done := make(chan error, 1)
		all := w.room()
		go func() { done <- w.ask("slow", all-1<<30) }()
		synctest.Wait()
		require.InDelta(t, 1<<30, w.room(), 1<<13)
		require.NoError(t, w.ask("fast", 1<<29))
		refusedWith(t, w.ask("late", 1<<30), api.CodeFailed, "free of the")
		answers <- answer{}
		require.NoError(t, <-done)
		require.InDelta(t, 1<<29, w.room(), 1<<13, "what is there is not counted twice")
		refusedWith(t, w.ask("late", 1<<30), api.CodeFailed, "free of the")
	})
}

// TestReserve_whatBecameOfTheCommand: space is given back when it is known that nothing is made, and after a while when
// nobody knows.
func TestReserve_whatBecameOfTheCommand(t *testing.T) {
	for name, x := range map[string]struct {
		answer      answer
		fits, later bool // another one of the size, at once and after a while
	}{
		"applied":                      {answer{}, false, false},
		"not proposed":                 {answer{true, raft.ErrNotLeader}, true, true},
		"nobody knows, and it is lost": {answer{true, raft.ErrOutcomeUnknown}, false, true},
		"nobody knows, and it is made": {answer{false, raft.ErrOutcomeUnknown}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				answers := w.hold(creates("first"))
				done := make(chan error, 1)
				most := w.room() - 1<<29
				go func() { done <- w.ask("first", most) }()
				answers <- x.answer
				if err := <-done; x.answer.err == nil {
					require.NoError(t, err)
				} else {
					require.Error(t, err)
				}
				fits := func() bool {
					room := w.room()
					return room >= most
				}
				require.Equal(t, x.fits, fits())
				pass(doubtMax + time.Second)
				require.Equal(t, x.later, fits())
				w.c.mu.Lock()
				require.Empty(t, w.c.reserved)
				require.Empty(t, w.c.doubtful)
				w.c.mu.Unlock()
			})
		})
	}
}

// TestReserve_askedForAgain: whoever asks for the same volume again, since the first answer did not come, is not
// refused the space that it was promised itself.
func TestReserve_askedForAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		request := api.CreateVolume{ID: volume.NewID().String(), Name: "v1", SizeBytes: (w.room() - 1<<29) >> 12 << 12,
			Layout: "mirror=1", LegsOn: []string{"n1"}, Wait: api.Wait{NoWait: true}}
		answers := w.hold(creates("v1"))
		done := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := w.api.CreateVolume(t.Context(), request)
				done <- err
			}()
			synctest.Wait()
		}
		answers <- answer{true, raft.ErrOutcomeUnknown}
		require.Error(t, <-done)
		answers <- answer{}
		require.NoError(t, <-done)
		require.Len(t, w.volume("v1").Legs, 1)
	})
}

// TestReserve_aLegThatIsOnItsWay: what a controller proposes takes its space as well, until a new leader begins anew.
func TestReserve_aLegThatIsOnItsWay(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, name := range []string{"v1", "v2"} {
			_, err := w.api.CreateVolume(t.Context(), api.CreateVolume{Name: name, SizeBytes: 1 << 30,
				Layout: "mirror=2", LegsOn: []string{"n2", "n3"}})
			require.NoError(t, err)
		}
		n1 := w.machines["n1"].node
		moves := func(name string) raft.Command {
			state, _ := w.raft.State()
			v := state.VolumeByName(name)
			return raft.Command{ReplaceLeg: &raft.ReplaceLeg{Volume: v.ID, Old: v.Legs[1].ID,
				New: raft.NewLeg{ID: volume.NewLegID(), Node: n1.ID, Store: n1.Stores[0].ID, Slot: 1}}}
		}
		require.NoError(t, w.ask("filler", w.room()-3<<29), "one more leg has room, two have not")
		first := moves("v1")
		answers := w.hold(func(c raft.Command) bool { return c.ReplaceLeg == first.ReplaceLeg })
		before := w.room()
		l := &loop{Coordinator: w.c, ctx: t.Context()}
		done := make(chan time.Duration, 1)
		go func() {
			done <- l.proposeOne(first)
		}()
		synctest.Wait()
		require.Equal(t, before-1<<30, w.room())
		refusedWith(t, w.ask("large", 1<<30), api.CodeFailed, "free of the")
		require.Equal(t, acceptedPause, l.proposeOne(moves("v2")), "it is decided anew")
		require.Zero(t, w.raft.count(first.Name()), "and not proposed")
		answers <- answer{true, raft.ErrOutcomeUnknown}
		require.Equal(t, refusedPause, <-done)
		require.Equal(t, before-1<<30, w.room())

		w.raft.lead(false, w.machines["n2"].node.ID)
		pass(time.Second)
		w.raft.lead(true, n1.ID)
		pass(5 * time.Second)
		require.Equal(t, before, w.room())
	})
}
