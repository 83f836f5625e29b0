package control

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// why prints the answer to `why OBJECT`; "leg VOLUME NODE" names a leg.
func (w *world) why(object string) string {
	w.t.Helper()
	if words := strings.Fields(object); len(words) == 3 {
		object = "leg/" + w.leg(w.volume(words[1]), words[2]).ID.String()
	}
	r, err := Why(w.view(), object)
	if err != nil {
		return err.Error() + "\n"
	}
	var out strings.Builder
	w.printReason(&out, r, "")
	return out.String()
}

func (w *world) printReason(out *strings.Builder, r Reason, indent string) {
	object := r.Object
	if strings.HasPrefix(object, "leg/") {
		object = "leg"
	}
	fmt.Fprintf(out, "%s[%s] %s: %s", indent, r.Status, object, r.Says)
	if !r.Since.IsZero() {
		fmt.Fprintf(out, " (for %s)", w.now.Sub(r.Since))
	}
	out.WriteString("\n")
	for _, t := range r.Timers {
		fmt.Fprintf(out, "%s  %s left of %s, then: %s\n", indent, t.Left, t.What, t.Then)
	}
	if r.Last != nil {
		fmt.Fprintf(out, "%s  last event: %s\n", indent, r.Last.Kind)
	}
	if r.Next != "" {
		fmt.Fprintf(out, "%s  next: %s\n", indent, r.Next)
	}
	for _, d := range r.Do {
		fmt.Fprintf(out, "%s  do: %s\n", indent, d)
	}
	for _, b := range r.Because {
		w.printReason(out, b, indent+"    ")
	}
}

func TestWhy_names(t *testing.T) {
	w := newWorld(t)
	for _, line := range []string{"node n1 storage", "node n2 storage", "node h1 host", "volume web1 on=n1,n2",
		"volume h1 on=n1,n2", "domain web1 volumes=web1 hosts=h1", "start web1 h1", "domain n1 volumes=h1"} {
		w.do(line)
	}
	w.beat()
	object := func(name string) string {
		r, err := Why(w.view(), name)
		if err != nil {
			require.ErrorIs(t, err, ErrNoObject)
			return err.Error()
		}
		return r.Object
	}
	require.Equal(t, "domain/web1", object("web1"), "its chain has the volume of that name")
	require.Equal(t, "volume/web1", object("volume/web1"))
	require.Equal(t, "volume/web1", object(w.volume("web1").ID.String()))
	require.Equal(t, "node/h1", object("node/h1"))
	require.Equal(t, "cluster", object("cluster"))
	require.Contains(t, object("h1"), "2 things are called \"h1\"")
	require.Contains(t, object("n1"), "2 things are called \"n1\"")
	require.Contains(t, object("volume/n1"), "nothing is called \"volume/n1\"")
	leg := w.leg(w.volume("web1"), "n2").ID
	require.Equal(t, "leg/"+leg.String(), object(leg.String()))
	require.Equal(t, "leg/"+leg.String(), object(leg.Short()))
	require.Contains(t, object(leg.String()[:3]), "nothing is called")
	require.Contains(t, object(""), "nothing is called")
}

// checkWhy asks for every object in every state that the scripts of the other tests reach, and holds
// that a chain ends, names no object twice and is as bad as what health says of the object itself.
func (w *world) checkWhy() {
	w.t.Helper()
	v := w.view()
	objects := []string{"cluster"}
	for _, n := range w.state.SortedNodes() {
		objects = append(objects, "node/"+n.ID.String())
	}
	for _, vol := range w.state.SortedVolumes() {
		objects = append(objects, "volume/"+vol.Name)
		for _, l := range vol.Legs {
			objects = append(objects, "leg/"+l.ID.String())
		}
	}
	for _, d := range w.state.SortedDomains() {
		objects = append(objects, "domain/"+d.Name)
	}
	_, findings := Judge(v)
	for _, object := range objects {
		r, err := Why(v, object)
		require.NoError(w.t, err, object)
		for _, f := range findings {
			id, isNode := strings.CutPrefix(object, "node/")
			if f.Object == r.Object && (!isNode || v.accused(f).ID.String() == id) {
				require.GreaterOrEqual(w.t, r.Status.Rank(), f.Status.Rank(), "%s: %s", object, f.Message)
			}
		}
		w.checkReason(r, 0)
	}
}

func (w *world) checkReason(r Reason, depth int) {
	w.t.Helper()
	require.Less(w.t, depth, 12, "a chain without an end at %s", r.Object)
	require.NotEmpty(w.t, r.Says, r.Object)
	require.NotEmpty(w.t, r.Object, r.Says)
	require.Contains(w.t, []Status{Healthy, Degraded, AtRisk, Down, NoQuorum}, r.Status, r.Says)
	for _, timer := range r.Timers {
		require.GreaterOrEqual(w.t, timer.Left, time.Duration(0), timer.What)
		require.NotEmpty(w.t, timer.Then, timer.What)
	}
	for _, b := range r.Because {
		require.GreaterOrEqual(w.t, r.Status.Rank(), b.Status.Rank(), "%s is better than its cause %s", r.Says, b.Says)
		w.checkReason(b, depth+1)
	}
}

func TestWhy_leaderless(t *testing.T) {
	w := newWorld(t)
	w.do("node n1 coordinator,storage")
	w.beat()
	v := w.view()
	v.Leaderless = true
	r, err := Why(v, "cluster")
	require.NoError(t, err)
	require.Equal(t, NoQuorum, r.Status)
	require.Contains(t, r.Because[0].Says, "no coordinator leads")
	_, err = Why(v, "nothing")
	require.True(t, errors.Is(err, ErrNoObject))
}

func TestJudge_aVoteOfNobody(t *testing.T) {
	w := newWorld(t)
	w.do("node n1 coordinator,storage")
	w.beat()
	v := w.view()
	ghost := volume.NodeID{UUID: w.newID()}
	v.Members, v.Mute = []volume.NodeID{w.node("n1").ID, ghost}, []volume.NodeID{ghost}
	status, findings := Judge(v)
	require.Equal(t, Degraded, status)
	require.Equal(t, "coordinator_missing", findings[0].Kind)
	r, err := Why(v, "cluster")
	require.NoError(t, err)
	require.Contains(t, r.Because[0].Says, "has a vote but never joined")
}

// selfVerb executes the lines about what nodes say of themselves:
//
//	disk NODE read=20ms usual=1ms failed=1 kernel=2 smart=warn|failing|silent
//	self NODE offset=1s bound=5ms of=NODE step=1h stepped=5s cert=20h life=720h build=B
//	process VOLUME build=B memory=MIB
func (w *world) selfVerb(words []string, arg func(int) string) {
	w.t.Helper()
	value := func(key string) string {
		for _, word := range words {
			if v, ok := strings.CutPrefix(word, key+"="); ok {
				return v
			}
		}
		return ""
	}
	duration := func(key string) (d time.Duration) {
		if text := value(key); text != "" {
			var err error
			d, err = time.ParseDuration(text)
			require.NoError(w.t, err)
		}
		return d
	}
	count := func(key string) (n uint64) {
		if text := value(key); text != "" {
			var err error
			n, err = strconv.ParseUint(text, 10, 64)
			require.NoError(w.t, err)
		}
		return n
	}
	switch words[0] {
	case "disk":
		d := &DiskFact{Device: "sda", Read: duration("read"), Usual: duration("usual"), FailedChecks: count("failed"),
			KernelErrors: count("kernel")}
		switch smart := value("smart"); smart {
		case "silent":
			d.SmartError = "smartctl does not answer"
		case "warn", "failing":
			d.SmartFaults, d.SmartFailing = []string{"8 sectors cannot be read"}, smart == "failing"
		}
		w.disks[arg(1)] = d
	case "self":
		h := NodeHealth{Build: value("build"), ClockOffset: duration("offset"), ClockBound: duration("bound"),
			ClockStep: duration("step"), ClockStepAge: duration("stepped"), CertFault: value("certfile")}
		if of := value("of"); of != "" {
			h.ClockLeader = w.node(of).ID
		}
		if life := duration("life"); life > 0 {
			h.CertUntil = w.now.Add(duration("cert"))
			h.CertFrom = h.CertUntil.Add(-life)
		}
		w.selves[arg(1)] = h
	case "process":
		w.running[arg(1)].Build, w.running[arg(1)].MemoryBytes = value("build"), int64(count("memory"))<<20
	}
}
