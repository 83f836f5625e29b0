package coordinator

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestConcern_everyField: whatever changes in a volume, everybody whose ticket or assignment differs is told.
func TestConcern_everyField(t *testing.T) {
	w := newLarge(t)
	before, _ := w.raft.State()
	id := w.volumes[0].ID
	nodes := []*raft.Node{w.nodes[5], w.nodes[6], w.nodes[9]}
	for _, l := range w.volumes[0].Legs {
		nodes = append(nodes, before.Nodes[l.Node])
	}
	nodes = append(nodes, before.Nodes[w.volumes[0].Attach.Host])
	had := map[volume.NodeID]peer.Assignment{}
	for _, n := range nodes {
		had[n.ID] = BuildAssignment(before, n.ID, time.Second)
	}
	ticket := BuildTicket(before, before.Volumes[id], time.Second)
	check := func(name string, change func(v *raft.Volume)) {
		after := before.Fork()
		v := *before.Volumes[id]
		v.Legs = slices.Clone(v.Legs)
		for i, l := range v.Legs {
			leg := *l
			v.Legs[i] = &leg
		}
		attach := *v.Attach
		v.Attach = &attach
		change(&v)
		after.Volumes[id] = &v
		told := map[volume.UUID]bool{}
		concern(before, after, func(object volume.UUID) { told[object] = true }, func() { t.Fatal("all are told") })
		if v.Attach == nil || !reflect.DeepEqual(ticket, BuildTicket(after, &v, time.Second)) {
			require.True(t, told[id.UUID], "%s: the ticket differs", name)
		}
		for _, n := range nodes {
			if !reflect.DeepEqual(had[n.ID], BuildAssignment(after, n.ID, time.Second)) {
				require.True(t, told[n.ID.UUID], "%s: the assignment of %s differs", name, n.Name)
			}
		}
	}
	each(t, "volume", raft.Volume{}, check, func(v *raft.Volume) any { return v })
	each(t, "leg", raft.Leg{}, check, func(v *raft.Volume) any { return v.Legs[0] })
	each(t, "attachment", raft.Attach{}, check, func(v *raft.Volume) any { return v.Attach })
	check("another host", func(v *raft.Volume) { v.Attach.Host = w.nodes[5].ID })
	check("another node of a leg", func(v *raft.Volume) { v.Legs[0].Node = w.nodes[6].ID })
	check("no legs", func(v *raft.Volume) { v.Legs = nil })
	check("detached", func(v *raft.Volume) { v.Attach = nil })
}

// each checks a change of every field of one struct: to something, and to nothing.
func each(t *testing.T, what string, kind any, check func(string, func(*raft.Volume)),
	part func(*raft.Volume) any) {
	fields := reflect.TypeOf(kind)
	for i := range fields.NumField() {
		f := fields.Field(i)
		if f.Name == "ID" && what == "volume" || f.Name == "Legs" || f.Name == "Attach" {
			continue // who it is, and what is changed part by part
		}
		name := fmt.Sprintf("%s of the %s", f.Name, what)
		check(name, func(v *raft.Volume) { reflect.ValueOf(part(v)).Elem().Field(i).SetZero() })
		check(name, func(v *raft.Volume) {
			require.True(t, fill(reflect.ValueOf(part(v)).Elem().Field(i)), "%s: cannot be changed here", name)
		})
	}
}

// fill makes something else of a value. It reports whether it could.
func fill(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(v.Uint() + 1)
	case reflect.Array:
		return fill(v.Index(0))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return fill(v.Index(0))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem())
	case reflect.Struct:
		if at, ok := v.Interface().(time.Time); ok {
			v.Set(reflect.ValueOf(at.Add(time.Hour)))
			return true
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() && !fill(v.Field(i)) {
				return false
			}
		}
	default:
		return false
	}
	return true
}

// TestConcern_fewAreTold counts whom the commits of one attach wake: its host once for each change of the ticket, and
// of the storage nodes only the one whose leg was fenced.
func TestConcern_fewAreTold(t *testing.T) {
	w := newLarge(t)
	before, _ := w.raft.State()
	v := w.volumes[0]
	edit := func(change func(v *raft.Volume)) (told []volume.UUID) {
		after := before.Fork()
		c := *before.Volumes[v.ID]
		c.Legs = slices.Clone(c.Legs)
		for i, l := range c.Legs {
			leg := *l
			c.Legs[i] = &leg
		}
		change(&c)
		after.Volumes[v.ID] = &c
		seen := map[volume.UUID]bool{}
		concern(before, after, func(object volume.UUID) {
			if !seen[object] {
				seen[object] = true
				told = append(told, object)
			}
		}, func() { t.Fatal("all are told") })
		before = after
		return told
	}
	require.ElementsMatch(t, []volume.UUID{v.ID.UUID, v.Attach.Host.UUID}, edit(func(v *raft.Volume) {
		v.Epoch, v.Phase = v.Epoch+1, volume.PhaseAttaching
	}))
	require.Equal(t, []volume.UUID{v.Legs[1].Node.UUID}, edit(func(v *raft.Volume) {
		v.Legs[1].FencedEpoch, v.Legs[1].Instance = v.Epoch, 9
	}))
	require.ElementsMatch(t, []volume.UUID{v.ID.UUID, v.Attach.Host.UUID}, edit(func(v *raft.Volume) {
		v.CfgVer, v.Phase = v.CfgVer+1, volume.PhaseAttached
	}))
	require.Empty(t, edit(func(v *raft.Volume) { v.Legs[0].LabelSeq++ }), "only the coordinators keep it")
}
