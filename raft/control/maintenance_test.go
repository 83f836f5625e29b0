package control

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMaintain_aHostDoesSoManyAtOnce: detached volumes wait for their turn, those at risk come first, and a copy that
// stands still keeps nobody waiting.
func TestMaintain_aHostDoesSoManyAtOnce(t *testing.T) {
	w := newWorld(t)
	for _, n := range []string{"n1", "n2", "n3", "n4"} {
		w.addNode(n, []string{"storage"})
	}
	w.addNode("h1", []string{"host"})
	names := []string{"a3"} // first by its name, and it can lose most
	w.addVolume("a3", []string{"n1", "n2", "n3"})
	for i := range 7 {
		name := fmt.Sprintf("v%d", i)
		names = append(names, name)
		w.addVolume(name, []string{"n1", "n2"})
	}
	w.do("advance 1s")
	w.do("drain n1")
	w.run()
	heir := map[string]string{}
	for _, name := range names {
		for _, l := range w.volume(name).Legs {
			if !l.Replaces.IsZero() {
				heir[name] = w.state.NodeName(l.Node)
			}
		}
		w.do("provisioned " + name + " " + heir[name])
	}
	begun := func() (all []string) {
		for line := range strings.Lines(w.run()) {
			if word, ok := strings.CutPrefix(line, "maintain "); ok {
				all = append(all, strings.Fields(word)[0])
			}
		}
		return all
	}
	stalled := func() (all []string) {
		for _, f := range w.view().judgeJobs() {
			if strings.HasPrefix(f.Object, "leg/") {
				all = append(all, f.Message)
			}
		}
		return all
	}
	w.do("advance 20s")
	require.Equal(t, []string{"v0", "v1", "v2", "v3"}, begun())
	for _, name := range names[1:5] {
		w.do("serve " + name)
	}
	require.Empty(t, begun())
	v4 := w.volume("v4")
	require.Contains(t, w.view().whyNoMaintenance(v4), "every host maintains 4 volumes")

	// One is done, and the next takes its turn.
	w.do("added v0 " + heir["v0"])
	w.do("removed v0 n1 retiring")
	require.Empty(t, begun(), "it is not detached yet")
	require.True(t, w.volume("v0").Attach.Detaching)
	w.do("detached v0")
	require.Equal(t, []string{"v4"}, begun())
	w.do("serve v4")

	// Two go on, two stand still for longer than a job may: as many others begin.
	for i, want := range [][]string{nil, nil, {"v5", "v6"}, nil} {
		for _, name := range []string{"v1", "v4"} {
			w.do(fmt.Sprintf("copying %s %s %d 100", name, heir[name], 10*i+10))
		}
		w.do("advance 50s")
		require.Equal(t, want, begun())
	}
	require.Len(t, stalled(), 2, "%v", stalled())
	require.Contains(t, stalled()[0], "volume v2")
	require.Contains(t, stalled()[1], "volume v3", "a3 was not begun, and does not stand still")
}
