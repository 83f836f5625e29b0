package mirror

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// startingLeg lets a test act at the moment in which the engine starts a leg.
type startingLeg struct {
	*memLeg
	onStart func()
}

func (l *startingLeg) Start(sink LegSink) {
	l.onStart()
	l.memLeg.Start(sink)
}

// TestLegIsForgottenBeforeItWasStarted: a ticket without a leg may come while Attach starts the legs.
func TestLegIsForgottenBeforeItWasStarted(t *testing.T) {
	first, second := &startingLeg{memLeg: newMemLeg(testSize)}, newMemLeg(testSize)
	auth := &memAuthority{}
	auth.cfg.InSync = append(auth.cfg.InSync, first.id)
	auth.cfg.CfgVer = 1
	spec := LegSpec{ID: first.id, Leg: first, InSync: true, Join: true}
	e, err := New(Options{Name: "v", Epoch: 7, AttachID: volume.NewAttachID(), SizeBytes: testSize, Authority: auth,
		Clock: bubbleClock{}, Legs: []LegSpec{spec, {ID: second.id, Leg: second, Join: true}}})
	require.NoError(t, err)
	first.fence = 7
	first.onStart = func() {
		require.NoError(t, e.SetLegs([]LegSpec{spec}))
		for e.runner(1) != nil {
			runtime.Gosched() // its place becomes free in a goroutine of the engine's
		}
	}
	require.NoError(t, e.Attach(t.Context()))
	require.NoError(t, e.Close())
}
