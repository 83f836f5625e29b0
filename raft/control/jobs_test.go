package control

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
)

// stalledJob returns the cause of the one job_stalled that is about an object, "" if there is none.
func stalledJob(t *testing.T, w *world, object string) string {
	t.Helper()
	why := ""
	_, findings := Judge(w.view())
	for _, f := range findings {
		if f.Kind == "job_stalled" && f.Object == object {
			require.Empty(t, why, "two findings of one job")
			why = f.Cause
		}
	}
	return why
}

func TestJobs_scrubThatNoEngineBegins(t *testing.T) {
	w := newWorld(t)
	for _, line := range []string{"node n1 storage", "node n2 storage", "node h1 host", "volume v1 on=n1,n2",
		"attach v1 h1", "serve v1"} {
		w.do(line)
	}
	vol := w.volume("v1")
	w.must(raft.Command{RequestScrub: &raft.RequestScrub{Volume: vol.ID, Epoch: vol.Epoch, Request: w.newID(),
		By: raft.ScrubBySchedule}})
	w.advance(3 * time.Minute)
	require.Equal(t, "its engine has not begun", stalledJob(t, w, "volume/v1"))

	// As soon as it gets on, the finding ends, before the progress was noted.
	w.running["v1"].ScrubID, w.running["v1"].ScrubDone = w.volume("v1").Scrub.ID, 1<<20
	w.beat()
	require.Empty(t, stalledJob(t, w, "volume/v1"))
	w.advance(time.Minute)
	require.Empty(t, stalledJob(t, w, "volume/v1"))
	w.advance(2 * time.Minute)
	require.Equal(t, "its engine is at it and has stood at 1048576 bytes for 2m0s", stalledJob(t, w, "volume/v1"))
}

func TestJobs_volumeThatIsNotMade(t *testing.T) {
	w := newWorld(t)
	w.do("node n1 storage")
	w.do("unmade v1 n1")
	w.advance(time.Minute)
	require.Empty(t, stalledJob(t, w, "volume/v1"))
	w.advance(90 * time.Second)
	require.Regexp(t, `^it waits for leg \w+ on n1 \(rebuilding, unknown\)$`, stalledJob(t, w, "volume/v1"))
}

func TestFacts_forgetJobsThatAreDone(t *testing.T) {
	w := newWorld(t)
	for _, line := range []string{"node n1 storage", "node n2 storage", "node n3 storage", "volume v1 on=n1,n2",
		"full n3", "drain n1", "advance 1s"} {
		w.do(line)
	}
	require.Len(t, w.facts.progress, 2, "the emptying, and the replacement of its leg")
	w.do("keep n1")
	require.Empty(t, w.facts.progress)
}
