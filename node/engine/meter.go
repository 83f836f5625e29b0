package engine

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// MetricPrefix begins the name of every metric of an engine. Each has a label volume.
const MetricPrefix = "holdfast_engine_"

// meter counts the guest's requests between the export and the mirror. It is a block.Queue. Nothing is
// allocated for a request once as many as are in flight have been seen.
type meter struct {
	queue    block.Queue
	pool     sync.Pool // of *metered
	inFlight prometheus.Gauge
	duration [block.OpFlush + 1]prometheus.Observer
	bytes    [block.OpFlush + 1]prometheus.Counter
	failed   [block.OpFlush + 1]prometheus.Counter
}

// metered is one request on its way through the queue.
type metered struct {
	block.Request
	own   *block.Request // the submitter's
	began time.Time
	meter *meter
}

// newMeter returns a meter whose metrics are registered.
func newMeter(queue block.Queue, r prometheus.Registerer) (*meter, error) {
	m := &meter{queue: queue}
	m.pool.New = func() any {
		x := &metered{meter: m}
		x.Complete = x.completed
		return x
	}
	m.inFlight = prometheus.NewGauge(prometheus.GaugeOpts{Name: MetricPrefix + "requests_in_flight",
		Help: "Requests of the guest that are not answered. While the engine is held these wait."})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: MetricPrefix + "request_duration_seconds",
		Help: "Time from a guest's request to its answer.", Buckets: prometheus.ExponentialBuckets(16e-6, 2, 21)},
		[]string{"op"})
	moved := prometheus.NewCounterVec(prometheus.CounterOpts{Name: MetricPrefix + "request_bytes_total",
		Help: "Bytes of the volume that answered requests were about."}, []string{"op"})
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{Name: MetricPrefix + "requests_failed_total",
		Help: "Requests that the guest saw fail."}, []string{"op"})
	for op := block.OpRead; op <= block.OpFlush; op++ {
		m.duration[op] = duration.WithLabelValues(op.String())
		m.bytes[op] = moved.WithLabelValues(op.String())
		m.failed[op] = failed.WithLabelValues(op.String())
	}
	for _, c := range []prometheus.Collector{m.inFlight, duration, moved, failed} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("engine metrics: %w", err)
		}
	}
	return m, nil
}

// Submit implements block.Queue.
func (m *meter) Submit(r *block.Request) {
	if r.Op < block.OpRead || r.Op > block.OpFlush {
		m.queue.Submit(r) // it is refused there
		return
	}
	x := m.pool.Get().(*metered)
	x.Op, x.Flags, x.Range, x.Data, x.own, x.began = r.Op, r.Flags, r.Range, r.Data, r, time.Now()
	m.inFlight.Inc()
	m.queue.Submit(&x.Request)
}

func (x *metered) completed(_ *block.Request, err error) {
	m, own, op := x.meter, x.own, x.Op
	m.inFlight.Dec()
	if err != nil {
		m.failed[op].Inc()
	} else {
		m.duration[op].Observe(time.Since(x.began).Seconds())
		m.bytes[op].Add(float64(x.Range.Len))
	}
	x.own, x.Data = nil, nil
	m.pool.Put(x)
	own.Complete(own, err)
}

// metrics returns what the engine counts, in Prometheus's text form, for the control socket.
func (p *process) metrics() (string, error) {
	families, err := p.registry.Gather()
	if err != nil {
		return "", fmt.Errorf("engine metrics: %w", err)
	}
	var text bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			return "", fmt.Errorf("engine metrics: %w", err)
		}
	}
	return text.String(), nil
}

// setCollector tells what the engine sees of its volume when it is asked.
type setCollector struct {
	process *process

	info, state, inSync, copyDone, copyTotal, medium, healed, lag, rejoin *prometheus.Desc
	unreadable, scrubDone, scrubTotal, memory, began                      *prometheus.Desc
}

func newSetCollector(p *process) *setCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(MetricPrefix+name, help, labels, nil)
	}
	leg := []string{"leg", "node"}
	return &setCollector{
		process:    p,
		info:       desc("info", "1; the epoch and the build of the engine.", "epoch", "build"),
		state:      desc("state", "1 for the state that the engine is in.", "state"),
		inSync:     desc("leg_in_sync", "1 if the engine uses the leg as one in sync.", leg...),
		copyDone:   desc("leg_copied_bytes", "Bytes that the copy which brings the leg in sync has looked at.", leg...),
		copyTotal:  desc("leg_copy_bytes", "Bytes that this copy has in all, 0 if none runs.", leg...),
		medium:     desc("leg_medium_errors_total", "Reads that the leg answered with a medium error.", leg...),
		healed:     desc("leg_healed_blocks_total", "Blocks of the leg that were rewritten from another one.", leg...),
		lag:        desc("leg_lag_seconds", "How much of its time to be slow in the leg has used up.", leg...),
		rejoin:     desc("leg_rejoin_seconds", "For how long the leg is not tried, because it failed before.", leg...),
		unreadable: desc("unreadable_requests_total", "Requests of the guest that no leg could answer."),
		scrubDone:  desc("scrubbed_bytes", "Bytes that the scrub which runs has looked at."),
		scrubTotal: desc("scrub_bytes", "Bytes that this scrub has in all, 0 if none runs."),
		memory:     desc("memory_anonymous_bytes", "Anonymous memory of the engine's process."),
		began:      desc("start_time_seconds", "When the engine began, in seconds since 1970."),
	}
}

// Describe implements prometheus.Collector.
func (c *setCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *setCollector) Collect(ch chan<- prometheus.Metric) {
	tell := func(kind prometheus.ValueType, d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		tell(prometheus.GaugeValue, d, v, labels...)
	}
	p, s, m := c.process, c.process.status(), c.process.set.Status()
	ticket := &p.start.Ticket
	gauge(c.info, 1, ticket.Epoch.String(), s.Build)
	gauge(c.state, 1, string(s.State))
	gauge(c.memory, float64(s.MemoryBytes))
	gauge(c.began, float64(p.began.UnixMilli())/1000)
	gauge(c.scrubDone, float64(m.ScrubDone))
	gauge(c.scrubTotal, float64(m.ScrubTotal))
	tell(prometheus.CounterValue, c.unreadable, float64(m.Unreadable))
	for _, l := range m.Legs {
		labels := []string{l.ID.String(), p.nodeOf(l.ID)}
		inSync := 0.0
		if legStateOf(l) == legInSync {
			inSync = 1
		}
		gauge(c.inSync, inSync, labels...)
		gauge(c.copyDone, float64(l.CopyDone), labels...)
		gauge(c.copyTotal, float64(l.CopyTotal), labels...)
		gauge(c.lag, l.Lag.Seconds(), labels...)
		gauge(c.rejoin, l.RejoinIn.Seconds(), labels...)
		tell(prometheus.CounterValue, c.medium, float64(l.MediumErrors), labels...)
		tell(prometheus.CounterValue, c.healed, float64(l.Healed), labels...)
	}
}

// nodeOf returns the name of a leg's node, as the newest ticket has it.
func (p *process) nodeOf(id volume.LegID) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nodes[id]
}

// anonymousBytes returns how much anonymous memory this process has, zero if the kernel does not say.
func anonymousBytes() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	return parseAnonymous(string(text))
}

func parseAnonymous(status string) int64 {
	for line := range strings.Lines(status) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}
