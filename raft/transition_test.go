package raft

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

func allLegStates() []volume.LegState {
	return []volume.LegState{
		volume.LegInSync, volume.LegStale, volume.LegRebuilding, volume.LegLost, volume.LegQuarantined,
	}
}

func allPhases() []volume.Phase {
	return []volume.Phase{volume.PhaseProvisioning, volume.PhaseDetached, volume.PhaseAttaching,
		volume.PhaseAttached, volume.PhaseFrozen}
}

// A leg's state changes by the table or not at all, and no pair is there twice.
func TestLegTransitions(t *testing.T) {
	for _, from := range allLegStates() {
		for _, to := range allLegStates() {
			var rows int
			for _, tr := range legTransitions() {
				if tr.from == from && tr.to == to {
					rows++
					require.NotEmpty(t, tr.why)
				}
			}
			require.LessOrEqual(t, rows, 1, "%s to %s", from, to)
			l := &Leg{State: from}
			if refusal := setLegState(l, to); rows == 1 {
				require.Nil(t, refusal)
				require.Equal(t, to, l.State)
			} else {
				require.NotNil(t, refusal)
				require.Equal(t, from, l.State)
			}
		}
	}
}

// What is lost or quarantined never is in sync again, by however many steps.
func TestLegTransitions_NoWayBack(t *testing.T) {
	reachable := []volume.LegState{volume.LegLost, volume.LegQuarantined}
	for i := 0; i < len(reachable); i++ {
		for _, tr := range legTransitions() {
			if tr.from == reachable[i] && !slices.Contains(reachable, tr.to) {
				reachable = append(reachable, tr.to)
			}
		}
	}
	require.ElementsMatch(t, []volume.LegState{volume.LegLost, volume.LegQuarantined}, reachable)
}

func TestPhaseTransitions(t *testing.T) {
	for _, from := range allPhases() {
		for _, to := range allPhases() {
			var rows int
			for _, tr := range phaseTransitions() {
				if tr.from == from && tr.to == to {
					rows++
					require.NotEmpty(t, tr.why)
				}
			}
			require.LessOrEqual(t, rows, 1, "%s to %s", from, to)
			v := &Volume{Phase: from}
			refusal := setPhase(v, to)
			require.Equal(t, rows == 1, refusal == nil, "%s to %s", from, to)
			require.Equal(t, rows == 1 || from == to, v.Phase == to, "%s to %s", from, to)
		}
	}
	for _, tr := range phaseTransitions() {
		if tr.from == volume.PhaseFrozen {
			require.Equal(t, volume.PhaseDetached, tr.to, "a volume that thaws is attached anew")
		}
	}
}

// A restore of the coordinators makes numbers that no label can have seen (protocol-flush D.5).
func TestNumbers_RestoreGeneration(t *testing.T) {
	s := newScript(t)
	s.apply(`init_cluster demo
		register n1 storage stores=s1
		register h1 host
		create old A@n1/s1 layout:mirror:1
		provisioned old A
		begin old h1 a1
		fence old A e=1
		activate old e=1`)
	s.state.Cluster.RestoreGen = 2
	s.apply(`begin old h1 a2 takeover
		create new B@n1/s1 layout:mirror:1
		provisioned new B`)
	v := s.state.VolumeByName("old")
	require.Equal(t, volume.FirstEpoch(2)+1, v.Epoch)
	require.Equal(t, volume.CfgVer(2), v.CfgVer, "the list itself has not changed")
	e := v.Epoch
	require.Nil(t, s.state.Apply(Command{RecordFence: s.parseFence(split(s, "old A"), e)}).Err)
	require.Nil(t, s.state.Apply(Command{Activate: &Activate{Volume: v.ID, Epoch: e}}).Err)
	require.Equal(t, volume.FirstCfgVer(2)+1, s.state.VolumeByName("old").CfgVer)
	require.Equal(t, volume.FirstCfgVer(2)+1, s.state.VolumeByName("new").CfgVer)
	require.Equal(t, volume.FirstEpoch(2), s.state.VolumeByName("new").Epoch)
}

// A state that was handed out does not change when commands are applied to its successor.
func TestFork_IsNotChangedByApply(t *testing.T) {
	g := newScript(t)
	g.apply(`init_cluster demo
		register n1 storage stores=s1
		register n2 storage stores=s2
		register h1 host
		create web A@n1/s1 B@n2/s2 layout:mirror:2
		provisioned web A
		provisioned web B
		define d volumes=web hosts=h1`)
	kept := g.state.Fork()
	before := mustJSON(t, kept)
	g.apply(`place d h1 run=0 attach=a1
		fence web A e=1 lossy
		fence web B e=1
		activate web e=1
		replace web A C@n1/s1
		lost web A
		stop d
		register n3 host id=n3
		retire n2
		register h2 host
		detach web e=1
		delete_domain d
		delete_volume web
		leg_deleted A
		leg_deleted B`)
	require.Equal(t, string(before), string(mustJSON(t, kept)))
	require.Empty(t, g.state.Volumes)
}

func TestEvents_AreBounded(t *testing.T) {
	s := newScript(t)
	for range EventsMax + 10 {
		s.state.Apply(s.parse("event info cluster odd"))
	}
	require.Len(t, s.state.Events, EventsMax)
	require.EqualValues(t, EventsMax+10, s.state.LastSeq)
	require.EqualValues(t, 11, s.state.Events[0].Seq)
}

func TestCommand_OneKindOnly(t *testing.T) {
	s := newScript(t)
	for _, c := range []Command{{}, {StopDomain: &StopDomain{}, DeleteDomain: &DeleteDomain{}}} {
		require.Equal(t, CodeInvalid, s.state.Apply(c).Err.Code)
		_, err := encodeCommand(c)
		require.ErrorIs(t, err, errOneKind)
	}
}

// Every kind is named as in JSON, and who may propose it is settled.
func TestCommand_Kinds(t *testing.T) {
	engine := []string{"record_fence", "activate", "remove_leg", "add_leg", "confirm_copy", "confirm_config",
		"report_scrub", "detach"}
	node := []string{"register_node", "leg_provisioned", "leg_lost", "leg_deleted", "begin_attach",
		"request_detach", "note_label", "adopt_leg", "abort_migration", "switch_migration", "blob_held", "end_clones"}
	known := &Node{ID: volume.NodeID{UUID: volume.UUID{1}}, Name: "n1"}
	s := NewState()
	s.Nodes[known.ID] = known
	names := commandFields(t)
	require.Len(t, (&Command{}).kinds(), len(names))
	for name, c := range names {
		require.Equal(t, name, c.Name())
		require.Equal(t, slices.Contains(engine, name), c.EngineCommand(), name)
		require.Equal(t, slices.Contains(node, name), c.NodeCommand(), name)
		if !c.EngineCommand() && !c.NodeCommand() {
			require.NotNil(t, s.Authorise(known.ID, c), name)
		}
	}
}

// commandFields returns one empty command of every kind, by the name of its field in JSON.
func commandFields(t *testing.T) map[string]Command {
	fields := make(map[string]Command)
	kind := reflect.TypeFor[Command]()
	for i := range kind.NumField() {
		field := kind.Field(i)
		if field.Type.Kind() != reflect.Pointer {
			continue
		}
		var c Command
		reflect.ValueOf(&c).Elem().Field(i).Set(reflect.New(field.Type.Elem()))
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		fields[name] = c
	}
	require.NotEmpty(t, fields)
	return fields
}

// A node speaks for itself, and for the volumes that it holds.
func TestAuthorise(t *testing.T) {
	s := newScript(t)
	s.apply(`init_cluster demo
		register n1 storage stores=s1
		register n2 storage stores=s2
		register h1 host
		register h2 host
		register h3 host
		remove_node h3
		create web A@n1/s1 B@n2/s2 layout:mirror:2
		provisioned web A
		provisioned web B
		begin web h1 a1
		begin web h2 a2 takeover`)
	for _, row := range []struct {
		node, line string
		ok         bool
	}{
		{"n1", "register n1 storage stores=s1", true},
		{"n1", "register n2 storage stores=s2", false},
		{"n1", "provisioned web A", true},
		{"n1", "provisioned web B", false},
		{"n2", "lost web B", true},
		{"n1", "lost web B", false},
		{"n1", "leg_deleted B", false},
		{"n1", "leg_deleted X", true}, // settled before
		{"h2", "activate web e=2", true},
		{"h1", "activate web e=2", false},
		{"h1", "activate web e=1", true},  // superseded: Apply says so
		{"h1", "activate web e=3", false}, // it may be another's by the time that it is applied
		{"h2", "detach web e=3", false},
		{"h1", "remove web A e=2 seen=1", false},
		{"h1", "add web A e=2 c=1", false},
		{"h1", "fence web A e=2", false},
		{"h1", "detach web e=2", false},
		{"h1", "request_detach web", false},
		{"h2", "request_detach web", true},
		{"h1", "begin web h1 a3 takeover", false},
		{"h2", "begin web h2 a3 takeover renews=a2", true},
		{"h1", "begin web h2 a3 takeover renews=a2", false},
		{"h2", "begin web h2 a3 takeover accept renews=a2", false},
		{"h1", "stop d", false},
		{"n1", "delete_volume web", false},
		// Who has a certificate and never registered may register.
		{"n9", "register n9 storage stores=s9", true},
		{"n9", "register n1 storage stores=s9", false},
		{"n9", "leg_deleted X", false},
		{"n9", "activate web e=1", false},
		{"n9", "begin web n9 a3 takeover renews=a2", false},
		{"h3", "activate web e=1", true}, // it was removed: Apply says that it is superseded
		{"h3", "activate web e=2", false},
	} {
		refusal := s.state.Authorise(s.node(row.node), s.parse(row.line))
		require.Equal(t, row.ok, refusal == nil, "%s: %s", row.node, row.line)
	}
	s.apply("detach web e=2\ndelete_volume web")
	require.NotNil(t, s.state.Authorise(s.node("n1"), s.parse("leg_deleted B")))
	require.Nil(t, s.state.Authorise(s.node("n2"), s.parse("leg_deleted B")))
}
