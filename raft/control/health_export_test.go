package control

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

func TestJudgeExports_oneThatDoesNotOpenIsNamed(t *testing.T) {
	host, attach := volume.NewNodeID(), volume.NewAttachID()
	vol := &raft.Volume{ID: volume.NewID(), Name: "web", Epoch: 3, Attach: &raft.Attach{ID: attach, Host: host}}
	facts, state := NewFacts(), raft.NewState()
	state.Nodes[host] = &raft.Node{ID: host, Name: "h1"}
	engine := &EngineFact{Node: host, AttachID: attach, Epoch: 3, State: EngineServing,
		Faults: []volume.ExportFault{{Kind: volume.ExportISCSI, Address: "127.0.0.1:13260", Error: "address in use"}}}
	facts.Engines[attach] = engine
	v := &View{State: state, Facts: facts}
	got := v.judgeExports(vol)
	require.Len(t, got, 1)
	require.Equal(t, "export_not_open", got[0].Kind)
	require.Equal(t, "volume web has no export iscsi on h1: 127.0.0.1:13260 does not open", got[0].Message)
	require.Equal(t, "address in use", got[0].Cause)
	engine.State = EngineFenced
	require.Empty(t, v.judgeExports(vol), "its engine is over: something else is wrong")
	delete(facts.Engines, attach)
	require.Empty(t, v.judgeExports(vol))
}
