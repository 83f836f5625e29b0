package control

import (
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// cloneVerb does what scripts say about clones.
func (w *world) cloneVerb(words []string, arg func(int) string) bool {
	switch words[0] {
	case "clone": // clone SOURCE NAME NODE GROUP OF
		source, n := w.volume(arg(1)), w.node(arg(3))
		of, err := strconv.Atoi(arg(5))
		require.NoError(w.t, err)
		c := &raft.CreateVolume{ID: volume.ID{UUID: w.newID()}, Name: arg(2), SizeBytes: source.SizeBytes,
			Layout: volume.Mirror(1), DataGen: w.newID(),
			Legs:  []raft.NewLeg{{ID: volume.LegID{UUID: w.newID()}, Node: n.ID, Store: n.Stores[0].ID}},
			Clone: &raft.CloneOf{Source: source.ID, Group: volume.UUID{arg(4)[0]}, Of: of}}
		w.must(raft.Command{CreateVolume: c})
		w.must(raft.Command{LegProvisioned: &raft.LegProvisioned{Volume: c.ID, Leg: c.Legs[0].ID}})
	case "cut": // cut GROUP HOST, as the host says that fills it
		group := volume.UUID{arg(1)[0]}
		c := &raft.EndClones{Group: group, Node: w.node(arg(2)).ID}
		for _, v := range w.state.CloneGroup(group) {
			c.Clones = append(c.Clones, raft.CutClone{Volume: v.ID, Epoch: v.Epoch,
				SourceEpoch: w.state.Volumes[v.Clone.Source].Epoch})
		}
		w.must(raft.Command{EndClones: c})
	case "copies": // copies CLONE STATE DONE REST [ERROR], as the engine of its source says
		vol := w.volume(arg(1))
		source := w.state.Volumes[vol.Clone.Source]
		var bytes [2]int64
		for i := range bytes {
			var err error
			bytes[i], err = volume.ParseSize(arg(3 + i))
			require.NoError(w.t, err)
		}
		w.running[source.Name].Copy = &CopyFact{Volume: vol.ID, Epoch: vol.Epoch, State: CopyState(arg(2)),
			DoneBytes: bytes[0], TotalBytes: vol.SizeBytes, RestBytes: bytes[1], Error: strings.Join(words[5:], " ")}
		w.beat()
	default:
		return false
	}
	return true
}

// clones shows the clones, and what keeps them from being filled.
func (w *world) clones() string {
	var out strings.Builder
	v := w.view()
	for _, vol := range w.state.SortedVolumes() {
		if vol.Clone == nil {
			continue
		}
		state := "cut"
		if vol.Filling() {
			state = "is filled"
			if why := v.CloneWaits(vol); why != "" {
				state = "waits: " + why
			}
			if c := v.CloneCopy(vol); c != nil {
				state += sprintf(", %.0f %%, %s left", 100*c.Progress(), volume.FormatSize(c.RestBytes))
			}
		}
		out.WriteString(vol.Name + " of " + vol.Clone.SourceName + " " + state + "\n")
	}
	return out.String()
}
