package mirror

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// load has the guest read or write, one request after the other, for a time, and returns for how long it
// waited in all for more than a good leg needs.
func (r *rig) load(d time.Duration, op block.Op) (stalled time.Duration) {
	r.t.Helper()
	p := make([]byte, 4096)
	for end := time.Now().Add(d); time.Now().Before(end); {
		start := time.Now()
		if op == block.OpRead {
			require.NoError(r.t, r.device.Read(context.Background(), p, 0))
		} else {
			require.NoError(r.t, r.device.Write(context.Background(), p, 0, 0))
		}
		stalled += max(0, time.Since(start)-10*time.Millisecond)
		time.Sleep(50 * time.Millisecond) // virtual
	}
	return stalled
}

// states returns what the engine does with each leg.
func (r *rig) states() (list []LegState) {
	for _, l := range r.engine.Status().Legs {
		list = append(list, l.State)
	}
	return list
}

// A leg that takes 2 s for everything stalls the guest once, for less than 4 s in all, and does not come
// back to do it again.
func TestLegOfTwoSecondsStallsTheGuestOnce(t *testing.T) {
	for _, op := range []block.Op{block.OpWrite, block.OpRead} {
		t.Run(op.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 2, 2).attach()
				r.load(time.Second, op)
				r.legs[1].be(func(l *memLeg) { l.latency = 2 * time.Second })
				stalled := r.load(10*time.Minute, op)
				t.Logf("the guest waited %v", stalled)
				require.Less(t, stalled, 4*time.Second)
				require.Positive(t, stalled)
				require.NotEqual(t, LegInSync, r.states()[1])
				require.Equal(t, LegInSync, r.states()[0])
			})
		})
	}
}

// A node that stands still for 2 s and runs for a moment, over and over, gets every write of a busy guest that
// writes the same blocks again while it comes back. What piles up there is no excuse.
func TestLegThatIsSlowStillIsDroppedUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2).attach()
		r.legs[1].be(func(l *memLeg) { l.stopped = 2 * time.Second })
		p := make([]byte, 4096)
		stalled := time.Duration(0)
		for end, i := time.Now().Add(5*time.Minute), int64(0); time.Now().Before(end); i++ {
			start := time.Now()
			require.NoError(t, r.device.Write(context.Background(), p, i%512*4096, 0))
			stalled += max(0, time.Since(start)-10*time.Millisecond)
			time.Sleep(time.Millisecond) // virtual
		}
		t.Logf("the guest waited %v", stalled)
		require.Less(t, stalled, 12*time.Second) // once for itself, then for a trial after 16, 32, 64 and 128 s
	})
}

// A ping that goes out half a second into the hiccup takes as long as the write, so it lasts 2.4 s in all.
func TestOneHiccupRemovesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2).attach()
		cfg := r.auth.config().CfgVer
		for range 5 {
			r.legs[1].be(func(l *memLeg) { l.latency = 1900 * time.Millisecond })
			require.NoError(t, r.device.Write(context.Background(), make([]byte, 4096), 0, 0))
			r.legs[1].be(func(l *memLeg) { l.latency = 0 })
			require.Less(t, r.load(time.Minute, block.OpWrite), time.Second)
			require.Equal(t, []LegState{LegInSync, LegInSync}, r.states())
			require.Equal(t, cfg, r.auth.config().CfgVer, "it did not leave and come back either")
		}
	})
}

func TestAllLegsSlowRemovesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3, 3).attach()
		for i, l := range r.legs {
			l.be(func(l *memLeg) { l.latency = 2*time.Second + time.Duration(i)*300*time.Millisecond })
		}
		r.load(3*time.Minute, block.OpWrite)
		require.Equal(t, []LegState{LegInSync, LegInSync, LegInSync}, r.states())
	})
}

// A session that breaks again and again is never away for as long as T_leg, and stalls the guest each
// time.
func TestLegThatComesAndGoesLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2).attach()
		stalled := time.Duration(0)
		for range 20 {
			r.legs[1].set(func(l *memLeg) { l.reach = false })
			time.AfterFunc(1500*time.Millisecond, func() { r.legs[1].be(func(l *memLeg) { l.reach = true }) })
			stalled += r.load(5*time.Second, block.OpWrite)
		}
		t.Logf("the guest waited %v", stalled)
		require.Less(t, stalled, 15*time.Second)
		require.Positive(t, r.engine.Status().Legs[1].RejoinIn)
	})
}

// A leg that is a hundred times slower than the other one keeps its place as long as the guest hardly
// notices: it has two copies, which is what it asked for.
func TestSlowerLegUnderLoadStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2).attach()
		r.legs[0].be(func(l *memLeg) { l.latency = time.Millisecond })
		r.legs[1].be(func(l *memLeg) { l.latency = 400 * time.Millisecond })
		r.load(time.Minute, block.OpWrite)
		r.load(time.Minute, block.OpRead)
		require.Equal(t, []LegState{LegInSync, LegInSync}, r.states())
	})
}

// A disk that hangs reads behind a node that answers everything else: the guest waits for a hedge now and
// then, and the leg leaves.
func TestLegThatHangsReadsLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2).attach()
		r.legs[1].be(func(l *memLeg) {
			l.deaf = func(r *block.Request) bool { return r.Op == block.OpRead && r.Data != nil }
		})
		stalled := r.load(16*time.Second, block.OpRead)
		t.Logf("the guest waited %v", stalled)
		require.Less(t, stalled, 2500*time.Millisecond)
		require.NotEqual(t, LegInSync, r.states()[1])
	})
}

// A leg that fails again and again waits longer each time, up to the ban; one that was well for long starts
// anew.
func TestFlappingLegIsBanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2).attach()
		fail := func() time.Duration {
			r.legs[1].set(func(l *memLeg) { l.reach = false })
			synctest.Wait() // until the engine has heard of it
			require.NoError(t, r.device.Write(context.Background(), make([]byte, 4096), 0, 0))
			r.inSync(1)
			r.legs[1].set(func(l *memLeg) { l.reach = true })
			start := time.Now()
			require.LessOrEqual(t, r.engine.Status().Legs[1].RejoinIn, 10*time.Minute)
			for r.states()[1] != LegInSync {
				require.Less(t, time.Since(start), 12*time.Minute)
				time.Sleep(100 * time.Millisecond) // virtual
			}
			return time.Since(start)
		}
		last := time.Duration(0)
		for n := range 12 {
			away := fail()
			t.Logf("failure %d: away for %v", n+1, away)
			if n > 0 && n < 10 {
				require.Greater(t, away, last)
			}
			require.GreaterOrEqual(t, away, min(time.Second<<n, 10*time.Minute)-2*time.Second)
			last = away
		}
		time.Sleep(31 * time.Minute) // virtual
		require.Less(t, fail(), 3*time.Second)
	})
}

// The legs of the rig show what they must, whatever happens to them; one that is set back is found.
func TestLegSetBackIsCopiedInFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, 2).attach()
		want := pattern(7, testSize)
		require.NoError(t, r.device.Write(context.Background(), want[:1<<20], 0, 0))
		l := r.legs[1]
		l.set(func(l *memLeg) { l.instance++; l.changes = 0 }) // a restart
		time.Sleep(time.Second)                                // virtual; it logs in again
		r.inSync(2)
		old, label := l.bytes(), volume.Config{}
		l.be(func(l *memLeg) { label = l.cfg.Clone() })
		require.NoError(t, r.device.Write(context.Background(), want[1<<20:], 1<<20, 0))
		l.set(func(l *memLeg) { // a saved moment, memory included
			copy(l.data, old)
			l.cfg, l.changes = label, 0
		})
		require.Eventually(t, func() bool { return r.engine.Status().Legs[1].SetBack },
			time.Minute, 10*time.Millisecond)
		r.inSync(2)
		r.equalLegs(want)
		require.False(t, r.engine.Status().Legs[1].SetBack)
	})
}
