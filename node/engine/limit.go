package engine

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/plug"
	"github.com/holdfast-storage/holdfast/block/throttle"
	"github.com/holdfast-storage/holdfast/volume"
)

// newThrottle returns what holds the guest to the volume's limit, between the meter and the mirror: what waits for the
// limit counts as the guest sees it. Copies and scrubs are the mirror's own and do not pass here.
func newThrottle(queue block.Queue, bursts *plug.Plug, r prometheus.Registerer) (*throttle.Throttle, error) {
	waited := prometheus.NewHistogram(prometheus.HistogramOpts{Name: MetricPrefix + "limit_wait_seconds",
		Help:    "How long requests waited for the volume's limit, of those that had to.",
		Buckets: prometheus.ExponentialBuckets(1e-3, 2, 16)})
	t := throttle.New(throttle.Options{Queue: queue, Plug: bursts,
		Waited: func(d time.Duration) { waited.Observe(d.Seconds()) }})
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: MetricPrefix + name, Help: help}, value)
	}
	for _, c := range []prometheus.Collector{
		waited,
		gauge("limit_waiting_requests", "Requests of the guest that wait for the volume's limit.",
			func() float64 { return float64(t.Waiting()) }),
		gauge("limit_iops", "How many requests a second the guest may do, 0 is no limit.",
			func() float64 { return float64(t.Limit().IOPS) }),
		gauge("limit_bandwidth_bytes", "How many bytes a second the guest may read and write, 0 is no limit.",
			func() float64 { return float64(t.Limit().Bandwidth) }),
	} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("engine metrics: %w", err)
		}
	}
	return t, nil
}

// takeLimit has a ticket's limit hold from now on.
func (p *process) takeLimit(l volume.Limit) {
	var next throttle.Limit
	if !l.None() {
		next = throttle.Limit{IOPS: l.IOPS, Bandwidth: l.Bandwidth, Burst: l.BurstTime()}
	}
	if p.throttle.Set(next) {
		p.log.Info("limit of the guest", "limit", l.String())
	}
}
