package engine

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// metric returns a gauge of the engine, or how many a histogram has seen.
func (e *runningEngine) metric(name string) float64 {
	e.t.Helper()
	_, response, err := e.ask(Request{Verb: VerbMetrics})
	require.NoError(e.t, err)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(response.Metrics))
	require.NoError(e.t, err)
	f := families[MetricPrefix+name]
	require.NotNil(e.t, f, name)
	if h := f.Metric[0].GetHistogram(); h != nil {
		return float64(h.GetSampleCount())
	}
	return f.Metric[0].GetGauge().GetValue()
}

func (e *runningEngine) waitMetric(name string, value float64) {
	e.t.Helper()
	require.Eventually(e.t, func() bool { return e.metric(name) == value }, 20*time.Second, 5*time.Millisecond, name)
}

func (c *cluster) setLimit(name string, iops, bandwidth int64) {
	c.t.Helper()
	c.apply(raft.Command{SetLimit: &raft.SetLimit{Volume: c.volume(name).ID, IOPS: &iops, Bandwidth: &bandwidth}})
}

// writes begins n writes at once, of one block each with its number in every byte; the channel has their ends.
func writes(t *testing.T, d block.Device, n int) <-chan error {
	ended := make(chan error, n)
	for i := range n {
		go func() {
			ended <- d.Write(t.Context(), bytes.Repeat([]byte{byte(i)}, 4096), int64(i)*4096, 0)
		}()
	}
	return ended
}

// allEnd waits for the ends of n requests, which must be well; 20 seconds are far less than a limit would take.
func allEnd(t *testing.T, ended <-chan error, n int) {
	t.Helper()
	late := time.After(20 * time.Second)
	for i := range n {
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-late:
			require.FailNow(t, "requests are stuck", "%d of %d ended", i, n)
		}
	}
}

// A ticket that names another limit changes that of the engine that serves, for the requests that wait too.
func TestLimit_ofALiveEngine(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	e := c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	d := guest(t, e, 0)
	allEnd(t, writes(t, d, 200), 200)
	require.Zero(t, e.metric("limit_wait_seconds"), "it begins without one")

	c.setLimit("root", 10, 0)
	e.waitMetric("limit_iops", 10)
	slow := writes(t, d, 250) // 24 seconds' worth
	require.Eventually(t, func() bool { return e.metric("limit_waiting_requests") > 200 }, 20*time.Second,
		5*time.Millisecond)
	require.NoError(t, d.Flush(t.Context()), "a flush is not limited")
	require.Positive(t, e.metric("limit_waiting_requests"))
	require.Positive(t, e.metric("requests_in_flight"), "the guest waits for them")

	c.setLimit("root", 0, 64<<20)
	e.waitMetric("limit_bandwidth_bytes", 64<<20)
	require.Zero(t, e.metric("limit_iops"))
	allEnd(t, slow, 250)
	require.Positive(t, e.metric("limit_wait_seconds"))
	c.setLimit("root", 0, 0)
	e.waitMetric("limit_bandwidth_bytes", 0)
	got := make([]byte, 4096)
	require.NoError(t, d.Read(t.Context(), got, 249*4096))
	require.Equal(t, bytes.Repeat([]byte{249}, 4096), got)
}

// An engine that starts takes the limit of its first ticket. A detach does not wait for the limit: what waits is done.
func TestLimit_detachWithRequestsWaiting(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	c.setLimit("root", 10, 0)
	e := c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	require.EqualValues(t, 10, e.metric("limit_iops"))
	d := guest(t, e, 0)
	slow := writes(t, d, 250)
	require.Eventually(t, func() bool { return e.metric("limit_waiting_requests") > 200 }, 20*time.Second,
		5*time.Millisecond)
	_, response, err := e.ask(Request{Verb: VerbDetach})
	require.NoError(t, err)
	require.Empty(t, response.Error)
	require.NoError(t, e.wait())
	allEnd(t, slow, 250)
	require.True(t, c.volume("root").Clean)
	require.Equal(t, volume.PhaseDetached, c.volume("root").Phase)

	c.setLimit("root", 0, 0)
	e = c.startEngineIn(e.dir, c.grant("root"))
	e.waitState(peer.EngineServing)
	d = guest(t, e, 0)
	got := make([]byte, 4096)
	for i := range 250 {
		require.NoError(t, d.Read(t.Context(), got, int64(i)*4096))
		require.Equal(t, bytes.Repeat([]byte{byte(i)}, 4096), got)
	}
}

// An engine that ends, or is fenced, is not kept by requests that wait; nobody is told that they were done.
func TestLimit_endWithRequestsWaiting(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	c.setLimit("root", 10, 0)
	e := c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	slow := writes(t, guest(t, e, 0), 250)
	require.Eventually(t, func() bool { return e.metric("limit_waiting_requests") > 200 }, 20*time.Second,
		5*time.Millisecond)
	e.stop()
	require.NoError(t, e.wait())
	failed := 0
	for range 250 {
		if err := <-slow; err != nil {
			failed++
		}
	}
	require.Greater(t, failed, 100)
}
