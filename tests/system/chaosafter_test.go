package system

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/tests/chaos"
)

// chaosBound is how long the cluster may take to become healthy by itself once nothing is wrong any more. It is far
// more than it takes on an idle machine: a leg that failed again and again is tried again later and later.
const chaosBound = 3 * time.Minute

// calm mends everything and waits until the cluster is well again: every leg in sync, every guest served.
func (r *chaosRun) calm() {
	r.t.Helper()
	r.startAgain(r.presentNodes()...)
	r.sure("heal")
	r.calmed.Store(true)
	r.background.Wait()
	if r.replacing != "" {
		_, err := r.try(chaosBound, "node", "replace", r.replacing, r.spare)
		require.NoError(r.t, err, "what was begun has to come to its end")
		r.replaced()
	}
	nodes := r.presentNodes()
	require.Len(r.t, nodes, chaosNodes)
	r.startAgain(nodes...)
	for _, n := range nodes {
		r.emptyDisk(n)
	}
	mended := time.Now()
	var why string
	for deadline := time.After(chaosBound); ; {
		if why = r.unwell(); why == "" {
			break
		}
		select {
		case <-deadline:
			r.t.Fatalf("not healthy %s after everything was mended: %s", chaosBound, why)
		case <-time.After(500 * time.Millisecond):
		}
	}
	r.t.Logf("%6.1fs  healthy again %.1fs after everything was mended; %d of %d steps were left out",
		time.Since(r.begun).Seconds(), time.Since(mended).Seconds(), r.skipped, len(r.plan))
	<-time.After(2 * time.Second) // the guests go on
	for _, v := range chaosVolumes() {
		if v.manual {
			r.operators[v.name].end()
		} else {
			r.ok("domain", "stop", v.name)
		}
	}
}

// unwell says what is not as it should be.
func (r *chaosRun) unwell() string {
	out, err := r.try(20*time.Second, "health")
	if err != nil {
		return fmt.Sprintf("%v\n%s", err, out)
	}
	for _, v := range chaosVolumes() {
		var view volumeView
		out, err = r.try(20*time.Second, "volume", "show", v.name, "-o", "json")
		if err == nil {
			err = json.Unmarshal([]byte(out), &view)
		}
		switch {
		case err != nil:
			return err.Error()
		case len(view.inSync()) != len(strings.Split(v.legs, ",")):
			return fmt.Sprintf("volume %s has legs in sync on %v", v.name, view.inSync())
		case view.Attachment == nil || view.Attachment.EnginePID == 0:
			return fmt.Sprintf("volume %s is not served", v.name)
		}
		if v.manual {
			continue
		}
		var domain struct{ State string }
		out, err = r.try(20*time.Second, "domain", "show", v.name, "-o", "json")
		if err == nil {
			err = json.Unmarshal([]byte(out), &domain)
		}
		if err != nil || domain.State != "running" {
			return fmt.Sprintf("domain %s is %s %v", v.name, domain.State, err)
		}
	}
	return ""
}

// readBack reads every block of every volume once more, through an engine of its own.
func (r *chaosRun) readBack() {
	r.t.Helper()
	for _, v := range chaosVolumes() {
		r.at = "the reading back of volume " + v.name
		r.eventually(time.Minute, "volume "+v.name+" is detached", func() bool {
			return r.volume(v.name).Attachment == nil
		})
		var a attachment
		r.object(&a, "volume", "attach", v.name, "--host", v.hosts[0])
		require.NotEmpty(r.t, a.Exports)
		args := r.writerArguments(v.name, a.Exports[0].URL, strconv.FormatUint(a.Epoch, 10), "reader", "-read-all")
		got := run(r.t, time.Minute, nil, args[0], args[1:]...)
		require.Zerof(r.t, got.code, "read back volume %s: %s", v.name, got.stderr)
		r.ok("volume", "detach", v.name)
	}
}

// compareLegs holds each leg's data, as it lies on its disk, against the other legs and against what was read back.
func (r *chaosRun) compareLegs() {
	r.t.Helper()
	for _, v := range chaosVolumes() {
		r.at = "the comparison of the legs of volume " + v.name
		h, err := chaos.ReadHistory(r.histories(v.name))
		require.NoError(r.t, err)
		last := h[len(h)-1]
		require.Len(r.t, last.Ops, chaosBlocks, "the last run is the reading back")
		hashes := map[[sha256.Size]byte]string{}
		for _, l := range r.volume(v.name).Legs {
			data := r.inside(r.nodePath(l.Node, "disk", "store", "legs", l.ID, "data"))
			hashes[hashOf(r.t, data)] += " " + l.Node
			blocks, err := chaos.ReadImage(data, chaosBlocks)
			require.NoError(r.t, err)
			for _, op := range last.Ops {
				require.Equalf(r.t, op.Got, blocks[op.Block],
					"volume %s, block %d: the leg on %s differs from what was read", v.name, op.Block, l.Node)
			}
		}
		require.Lenf(r.t, hashes, 1, "volume %s: its legs differ: %v", v.name, hashes)
	}
}

// chaosEvent is what the run reads of an event.
type chaosEvent struct {
	Seq          uint64
	Time         time.Time
	Object, Kind string
	Message      string
}

// noteEvents takes over what the coordinators say, again and again until the calm: they keep the last ones only.
func (r *chaosRun) noteEvents() {
	for !r.calmed.Load() {
		_ = r.takeEvents() // they cannot always be asked
		select {
		case <-r.life.Done():
			return
		case <-time.After(5 * time.Second):
		}
	}
}

func (r *chaosRun) takeEvents() error {
	out, err := r.try(10*time.Second, "events", "-o", "json")
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(out) {
		var e chaosEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return fmt.Errorf("event %s: %w", line, err)
		}
		r.events[e.Seq] = e
	}
	return nil
}

// volumeEvents returns what the coordinators said of a volume, in order: all of it.
func (r *chaosRun) volumeEvents(v chaosVolume) []chaosEvent {
	r.t.Helper()
	var seqs []uint64
	for seq := range r.events {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	require.NotEmpty(r.t, seqs)
	first, last := seqs[0], seqs[len(seqs)-1]
	require.Lenf(r.t, seqs, int(last-first)+1, "events are missing between %d and %d", first, last)
	var all []chaosEvent
	for _, seq := range seqs {
		if e := r.events[seq]; e.Object == "volume/"+v.name {
			all = append(all, e)
		}
	}
	return all
}

// circumstances returns when nodes lost their power that had a leg of a volume then, and when the coordinators declared
// that the volume goes on without what was not flushed. It holds that they had a reason: such a loss of power, and
// nothing was answered since. (One cut can have two declarations, when the engine of the first one ends before it has
// told the legs.)
func (r *chaosRun) circumstances(v chaosVolume, h chaos.History) chaos.Circumstances {
	r.t.Helper()
	now, err := chaos.Now()
	require.NoError(r.t, err)
	boot := time.Now().Add(-now)
	var c chaos.Circumstances
	legs := chaos.NewLegs(strings.Split(v.legs, ",")...)
	for _, e := range r.volumeEvents(v) {
		require.NotEqual(r.t, "set_back_loss", e.Kind, "no disk was set back")
		legs.Note(e.Kind, e.Message, e.Time.Sub(boot))
		if e.Kind == "unflushed_loss" {
			c.Losses = append(c.Losses, chaos.Loss{At: e.Time.Sub(boot)})
		}
	}
	c.PowerCuts = legs.Cuts(r.powerCuts)
	if loss, unexplained := h.Unexplained(c.Losses, c.PowerCuts); unexplained {
		r.t.Errorf("volume %s lost what was not flushed at %s, and no leg had lost its power since it answered last: "+
			"cuts at %s", v.name, loss.At, c.PowerCuts)
	}
	return c
}

// judge holds every volume's history against what a disk may do.
func (r *chaosRun) judge() {
	r.t.Helper()
	require.NoError(r.t, r.takeEvents())
	for _, v := range chaosVolumes() {
		r.at = "the judgement of volume " + v.name
		h, err := chaos.ReadHistory(r.histories(v.name))
		require.NoError(r.t, err)
		c := r.circumstances(v, h)
		if v.durability == "sync" {
			require.Emptyf(r.t, c.Losses, "volume %s of class sync lost what was not flushed", v.name)
		}
		ops, unanswered := h.Count()
		r.t.Logf("volume %s: %d guests, %d operations, %d of them not answered, %d losses of what was not flushed, "+
			"%d cuts of a leg's power", v.name, len(h), ops, unanswered, len(c.Losses), len(c.PowerCuts))
		require.Greater(r.t, ops, int(r.length.Seconds()), "the writers hardly wrote")
		if wrong := chaos.Judge(h, c); wrong != nil {
			r.t.Errorf("volume %s: %v", v.name, wrong)
		}
	}
}

// runDirs returns the directories outside the cluster's own that hold logs.
func (r *chaosRun) runDirs() []string {
	var s struct {
		RunBase string `json:"run_base"`
	}
	text, err := os.ReadFile(filepath.Join(r.dir, "cluster.json"))
	if err != nil || json.Unmarshal(text, &s) != nil || s.RunBase == "" {
		return nil
	}
	return []string{s.RunBase}
}
