package engine

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/node/metrics/metricstest"
	"github.com/holdfast-storage/holdfast/node/peer"
)

// keeper is a queue that keeps its requests until it is told to answer.
type keeper struct{ kept []*block.Request }

func (k *keeper) Submit(r *block.Request) { k.kept = append(k.kept, r) }

func (k *keeper) answer(err error) {
	for _, r := range k.kept {
		r.Complete(r, err)
	}
	k.kept = k.kept[:0]
}

func TestMeter(t *testing.T) {
	k, registry := &keeper{}, prometheus.NewRegistry()
	m, err := newMeter(k, registry)
	require.NoError(t, err)
	data := []byte("12345678")
	var answered []*block.Request
	var failed error
	submit := func(op block.Op, r block.Range) *block.Request {
		q := &block.Request{Op: op, Range: r, Data: data, Flags: block.FUA,
			Complete: func(r *block.Request, err error) { answered, failed = append(answered, r), err }}
		m.Submit(q)
		return q
	}
	read := submit(block.OpRead, block.Range{Off: 512, Len: 8})
	require.Equal(t, 1.0, testutil.ToFloat64(m.inFlight))
	require.Equal(t, block.Range{Off: 512, Len: 8}, k.kept[0].Range)
	require.Equal(t, block.FUA, k.kept[0].Flags)
	require.Same(t, &data[0], &k.kept[0].Data[0])
	k.answer(nil)
	require.Equal(t, []*block.Request{read}, answered, "the request that was submitted is answered, not a copy")
	require.NoError(t, failed)
	require.Zero(t, testutil.ToFloat64(m.inFlight))
	require.Equal(t, 8.0, testutil.ToFloat64(m.bytes[block.OpRead]))

	submit(block.OpWrite, block.Range{Len: 8})
	k.answer(errors.New("no"))
	require.EqualError(t, failed, "no")
	require.Equal(t, 1.0, testutil.ToFloat64(m.failed[block.OpWrite]))
	require.Zero(t, testutil.ToFloat64(m.bytes[block.OpWrite]))

	submit(block.OpFlush, block.Range{})
	submit(block.OpZero, block.Range{Len: 4096})
	k.answer(nil)
	require.Equal(t, 4096.0, testutil.ToFloat64(m.bytes[block.OpZero]))
	submit(99, block.Range{})
	k.answer(block.ErrOutOfRange)
	require.ErrorIs(t, failed, block.ErrOutOfRange, "what it does not know is not its business")
}

func TestMetrics_ofAnEngine(t *testing.T) {
	c := newCluster(t, 2)
	c.createVolume("root", 2)
	e := c.startEngine(c.grant("root"))
	e.waitState(peer.EngineServing)
	d := guest(t, e, 0)
	require.NoError(t, d.Write(t.Context(), make([]byte, 8192), 0, 0))
	require.NoError(t, d.Read(t.Context(), make([]byte, 4096), 0))
	require.NoError(t, d.Flush(t.Context()))
	require.NoError(t, d.Zero(t.Context(), block.Range{Len: 4096}, 0))
	_, response, err := e.ask(Request{Verb: VerbMetrics})
	require.NoError(t, err)
	require.Empty(t, response.Error)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(response.Metrics))
	require.NoError(t, err)
	for name, f := range families {
		require.True(t, strings.HasPrefix(name, MetricPrefix), name)
		for _, m := range f.Metric {
			require.Contains(t, m.String(), `name:"volume"`)
		}
	}
	text := response.Metrics
	require.Contains(t, text, `holdfast_engine_request_bytes_total{op="write",volume="root"} 8192`)
	require.Contains(t, text, `holdfast_engine_request_duration_seconds_count{op="flush",volume="root"} 1`)
	require.Contains(t, text, `holdfast_engine_state{state="serving",volume="root"} 1`)
	require.Contains(t, text, `holdfast_engine_leg_in_sync{leg="`+e.ticket.Legs[0].ID.String()+`",node="`+
		e.ticket.Legs[0].Node+`",volume="root"} 1`)
	require.Positive(t, families["holdfast_engine_memory_anonymous_bytes"].Metric[0].GetGauge().GetValue())
	metricstest.Golden(t, prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		var all []*dto.MetricFamily
		for _, f := range families {
			all = append(all, f)
		}
		return all, nil
	}))
}

func TestParseAnonymous(t *testing.T) {
	require.EqualValues(t, 5120<<10, parseAnonymous("Name:\tholdfast\nVmRSS:\t    9000 kB\nRssAnon:\t    5120 kB\n"))
	require.Zero(t, parseAnonymous("Name:\tholdfast\n"))
}
