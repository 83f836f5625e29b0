package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestServing_byFreshWordsOnly: an engine that died together with its daemon leaves its last word behind, which
// says that it serves.
func TestServing_byFreshWordsOnly(t *testing.T) {
	now, timing := time.Unix(1000, 0), DefaultTiming()
	host, attach := volume.NewNodeID(), volume.NewAttachID()
	vol := &raft.Volume{ID: volume.NewID(), Epoch: 3, Attach: &raft.Attach{ID: attach, Host: host}}
	for _, c := range []struct {
		name           string
		engine, daemon time.Duration // silence
		has            bool          // the daemon has the engine
		state          EngineState
		epoch          volume.Epoch
		serves         bool
		pace           time.Duration // of the engine's heartbeats
	}{
		{"both speak", 0, 0, true, EngineServing, 3, true, 0},
		{"it waits for something, but answers", 0, 0, true, EngineHeld, 3, true, 0},
		{"the daemon is away", 2 * time.Second, time.Minute, true, EngineServing, 3, true, 0},
		{"the daemon speaks for it", time.Minute, time.Second, true, EngineServing, 3, true, 0},
		{"the daemon has it no more", 3 * time.Second, 0, false, EngineServing, 3, false, 0},
		{"both are silent", 3 * time.Second, 2 * time.Second, true, EngineServing, 3, false, 0},
		{"it is to speak seldom", 5 * time.Second, 2 * time.Second, true, EngineServing, 3, true, 4 * time.Second},
		{"it misses its turn", 6 * time.Second, 2 * time.Second, true, EngineServing, 3, false, 4 * time.Second},
		{"it does not serve yet", 0, 0, true, EngineConnecting, 3, false, 0},
		{"it is over", 0, 0, true, EngineFenced, 3, false, 0},
		{"it is of an epoch before", 0, 0, true, EngineServing, 2, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			facts := NewFacts()
			facts.Nodes[host] = &NodeFact{Heard: now.Add(-c.daemon), Engines: map[volume.AttachID]bool{attach: c.has}}
			facts.Engines[attach] = &EngineFact{Heard: now.Add(-c.engine), Node: host, AttachID: attach, Epoch: c.epoch,
				State: c.state, Pace: c.pace}
			v := &View{Facts: facts, Now: now, Timing: timing,
				Condition: func(volume.NodeID) raft.Condition { return raft.NodeAlive }}
			require.Equal(t, c.serves, v.Serving(vol) != nil)
		})
	}
	require.Nil(t, (&View{Facts: NewFacts(), Now: now, Timing: timing}).Serving(vol), "nothing was heard")
}
