package control

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

const (
	day   = 24 * time.Hour
	month = 30 * day
)

// scrubWorld is a cluster whose volumes a, b and c are to be scrubbed each month; h1 serves a and b, h2
// serves c.
func scrubWorld(t *testing.T) *world {
	w := newWorld(t)
	w.every = month
	for _, line := range []string{"node n1 storage", "node n2 storage", "node h1 host", "node h2 host"} {
		w.do(line)
	}
	for name, host := range map[string]string{"a": "h1", "b": "h1", "c": "h2"} {
		w.do("volume " + name + " on=n1,n2")
		w.do("attach " + name + " " + host)
		w.do("serve " + name)
	}
	w.pass(0)
	return w
}

// pass lets time pass at once, and everybody be heard afterwards.
func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	w.facts.Observe(w.state, w.now)
	w.beat()
}

// due returns the names of the volumes whose scrub is asked for now, and has that committed.
func (w *world) due() []string {
	w.t.Helper()
	var names []string
	for _, c := range Scrubs(w.view()) {
		require.Equal(w.t, raft.ScrubBySchedule, c.RequestScrub.By)
		names = append(names, w.state.Volumes[c.RequestScrub.Volume].Name)
		w.must(c)
	}
	slices.Sort(names)
	return names
}

// scrubbed ends a volume's scrub.
func (w *world) scrubbed(name string, found raft.ScrubFound) {
	w.t.Helper()
	v := w.volume(name)
	w.must(raft.Command{ReportScrub: &raft.ReportScrub{Volume: v.ID, Epoch: v.Epoch, ID: v.Scrub.ID,
		From: v.Scrub.From, Next: v.SizeBytes, Complete: true, Found: found}})
}

func TestScrubs_schedule(t *testing.T) {
	w := scrubWorld(t)
	require.Empty(t, w.due(), "new volumes have time")
	w.pass(month - month/10 - time.Second)
	require.Empty(t, w.due())
	w.pass(month/10 + time.Second)
	first := w.due()
	require.Len(t, first, 2, "one on each host")
	require.Contains(t, first, "c")
	require.Empty(t, w.due(), "b waits until its host is done with a, or the other way round")
	w.scrubbed(first[0], raft.ScrubFound{})
	second := w.due()
	require.Len(t, second, 1)
	require.NotContains(t, first, second[0])
	w.scrubbed(second[0], raft.ScrubFound{})
	w.scrubbed("c", raft.ScrubFound{})
	w.pass(month / 2)
	require.Empty(t, w.due())
	w.pass(month / 2)
	require.NotEmpty(t, w.due())
}

func TestScrubs_notWhat(t *testing.T) {
	for name, x := range map[string]func(*world){
		"is not attached": func(w *world) { w.do("detach c"); w.do("detached c") },
		"is on its way":   func(w *world) { w.do("detach c") },
		"is not served":   func(w *world) { w.do("engine c held no leg answers") },
		"nobody serves":   func(w *world) { w.do("engine c failed a test") },
		"was stopped just now": func(w *world) {
			v := w.volume("c")
			w.must(raft.Command{RequestScrub: &raft.RequestScrub{Volume: v.ID, Request: w.newID(),
				By: raft.ScrubByOperator}})
			w.must(raft.Command{StopScrub: &raft.StopScrub{Volume: v.ID}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := scrubWorld(t)
			w.pass(month)
			x(w)
			w.pass(time.Second)
			require.NotContains(t, w.due(), "c")
		})
	}
	w := scrubWorld(t)
	w.every = 0
	w.do("volume d on=n1,n2")
	w.do("attach d h2")
	w.do("serve d")
	w.pass(100 * month)
	require.NotContains(t, w.due(), "d", "it has no schedule")
}

// A scrub that no engine can be at keeps its host from nothing.
func TestScrubs_ofVolumesThatAreStuck(t *testing.T) {
	for name, x := range map[string]func(*world){
		"frozen": func(w *world) {
			v := w.volume("a")
			w.state.Volumes[v.ID].Phase = volume.PhaseFrozen
		},
		"detaching": func(w *world) { w.do("detach a") },
	} {
		t.Run(name, func(t *testing.T) {
			w := scrubWorld(t)
			w.must(raft.Command{RequestScrub: &raft.RequestScrub{Volume: w.volume("a").ID, Request: w.newID(),
				By: raft.ScrubByOperator}})
			w.pass(month + time.Second)
			require.NotContains(t, w.due(), "b", "its host is at a")
			x(w)
			w.pass(time.Second)
			require.Contains(t, w.due(), "b")
		})
	}
}

// findings returns what health says of a volume and its legs, by kind.
func (w *world) findings(name string) map[string]Finding {
	all := map[string]Finding{}
	v := w.volume(name)
	_, findings := Judge(w.view())
	for _, f := range findings {
		about := f.Object == "volume/"+name
		for _, l := range v.Legs {
			about = about || f.Object == "leg/"+l.ID.String()
		}
		if about {
			all[f.Kind] = f
		}
	}
	return all
}

func TestHealth_scrubs(t *testing.T) {
	w := scrubWorld(t)
	require.Empty(t, w.findings("c"))
	w.pass(month)
	w.due()
	leg := w.volume("c").Legs[0].ID
	w.scrubbed("c", raft.ScrubFound{Legs: []raft.ScrubbedLeg{{Leg: leg, Bad: 5, Healed: 4}}, Diverged: 2,
		Unreadable: 1, Ranges: []raft.ScrubRange{{Off: 8192, Len: 4096}}})
	f := w.findings("c")
	require.Len(t, f, 3)
	require.Equal(t, AtRisk, f["legs_diverged"].Status)
	require.Contains(t, f["legs_diverged"].Message, "8192+4096")
	require.Equal(t, AtRisk, f["blocks_unreadable"].Status)
	require.Equal(t, raft.SeverityWarning, f["blocks_healed"].Severity)
	require.Equal(t, Healthy, f["blocks_healed"].Status)
	require.Contains(t, f["blocks_healed"].Cause, "n1 (4 of 5)")

	w.pass(4 * day)
	require.NotContains(t, w.findings("c"), "blocks_healed", "it is no news any more")
	require.Contains(t, w.findings("c"), "legs_diverged", "nobody mended it")
	w.pass(month)
	w.due()
	w.must(raft.Command{StopScrub: &raft.StopScrub{Volume: w.volume("c").ID}})
	require.Contains(t, w.findings("c"), "legs_diverged", "the next one was stopped")
	w.pass(2 * day)
	w.due()
	w.scrubbed("c", raft.ScrubFound{})
	require.Empty(t, w.findings("c"), "a complete scrub found nothing")

	w.do("detach c")
	w.do("detached c")
	w.pass(month + month/4)
	f = w.findings("c")
	require.Equal(t, raft.SeverityInfo, f["scrub_overdue"].Severity)
	require.Contains(t, f["scrub_overdue"].Next, "attached")
	w.pass(month)
	require.Equal(t, raft.SeverityWarning, w.findings("c")["scrub_overdue"].Severity)
}

func TestScrubProgress(t *testing.T) {
	w := scrubWorld(t)
	w.pass(month)
	w.due()
	vol := w.volume("c")
	done, running := w.view().ScrubProgress(vol)
	require.False(t, running)
	require.Zero(t, done)
	w.running["c"].ScrubID, w.running["c"].ScrubDone = vol.Scrub.ID, 1<<20
	w.beat()
	done, running = w.view().ScrubProgress(vol)
	require.True(t, running)
	require.EqualValues(t, 1<<20, done)
}

// What the engine sees of a disk shows although its node says that all is well, in one finding.
func TestHealth_disks(t *testing.T) {
	w := scrubWorld(t)
	vol := w.volume("c")
	e := w.running["c"]
	e.Legs[0].MediumErrors, e.Legs[0].Healed, e.Unreadable = 3, 2, 1
	w.beat()
	f := w.findings("c")
	require.Contains(t, f["leg_medium_errors"].Message, "3 reads that failed; 2 blocks were healed")
	require.Contains(t, f["leg_medium_errors"].Next, "node replace n1")
	require.Equal(t, AtRisk, f["guest_read_errors"].Status)

	w.must(raft.Command{RemoveLeg: &raft.RemoveLeg{Volume: vol.ID, Epoch: vol.Epoch, Leg: vol.Legs[1].ID,
		SeenCfg: vol.CfgVer, Reason: "it does not answer"}})
	e.Legs[1] = EngineLeg{ID: vol.Legs[1].ID, State: "connecting", Error: "no answer from its medium",
		BannedFor: 90 * time.Second}
	w.pass(time.Second)
	f = w.findings("c")
	require.Contains(t, f["leg_stale"].Cause, "no answer from its medium")
	require.Contains(t, f["leg_stale"].Next, "1m30s")

	w.broken["c/n2"] = ConditionBad
	w.pass(time.Second)
	f = w.findings("c")
	require.NotContains(t, f, "leg_stale", "one finding for one disk")
	require.Contains(t, f["leg_bad"].Cause, "no answer from its medium")
	require.Equal(t, raft.SeverityError, f["leg_bad"].Severity)
}

func TestHealth_setBack(t *testing.T) {
	w := scrubWorld(t)
	vol := w.volume("c")
	seqs := []volume.LegSeq{{Leg: vol.Legs[0].ID, Seq: 9}, {Leg: vol.Legs[1].ID, Seq: 9}}
	w.must(raft.Command{ConfirmConfig: &raft.ConfirmConfig{Volume: vol.ID, Epoch: vol.Epoch, CfgVer: vol.CfgVer,
		Seqs: seqs}})
	w.do("detach c")
	w.do("detached c")
	w.do("attach c h2")
	w.fence(vol, vol.Legs[0]) // with a label that was never written
	w.pass(time.Second)
	f := w.findings("c")
	require.Contains(t, f["leg_set_back"].Next, "copied in full")
	require.Contains(t, f, "volume_at_risk")
	w.fence(vol, vol.Legs[1])
	w.pass(time.Second)
	f = w.findings("c")
	require.Contains(t, f["leg_set_back"].Next, "--takeover --accept-loss", "an attachment waits")
	require.Contains(t, f["volume_down"].Message, "set back")
}
