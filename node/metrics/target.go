package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-storage/holdfast/target"
)

// TargetSource is a target whose metrics are collected; *target.Server is one.
type TargetSource interface {
	Stats() target.ServerStats
}

// targetCollector turns what a target has counted into metrics when it is asked. The counters of a session end
// with it; Prometheus's rate takes that as it takes a restart.
type targetCollector struct {
	source                                  TargetSource
	connections, logins, memoryFree, opened *prometheus.Desc
	bytes, latency, failures                *prometheus.Desc
}

// NewTarget returns the collector of a target's metrics.
func NewTarget(source TargetSource) prometheus.Collector {
	session := []string{"target", "initiator", "isid"}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("holdfast_target_"+name, help, labels, nil)
	}
	return &targetCollector{
		source:      source,
		connections: desc("connections", "Open connections."),
		logins:      desc("logins", "Open connections that have not logged in."),
		memoryFree:  desc("memory_free_bytes", "What is left of the memory that connections have in common."),
		opened:      desc("session_start_time_seconds", "When the session began, in seconds since 1970.", session...),
		bytes: desc("bytes_total", "Data that commands of the session moved.",
			append(session, "lun", "direction")...),
		latency: desc("command_duration_seconds", "Time from the first PDU of a command to its reply.",
			append(session, "lun", "direction")...),
		failures: desc("commands_failed_total", "Commands that did not end well, by how they ended.",
			append(session, "lun", "status")...),
	}
}

// Describe implements prometheus.Collector.
func (c *targetCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.connections, c.logins, c.memoryFree, c.opened, c.bytes, c.latency,
		c.failures} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *targetCollector) Collect(ch chan<- prometheus.Metric) {
	stats := c.source.Stats()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.connections, float64(stats.Connections))
	gauge(c.logins, float64(stats.Logins))
	gauge(c.memoryFree, float64(stats.MemoryFree))
	for _, s := range stats.Sessions {
		if s.Discovery {
			continue // it has no units, and its handle is not its own
		}
		labels := []string{s.Target, s.Initiator, fmt.Sprintf("%x", s.ISID)}
		gauge(c.opened, float64(s.Since.UnixMilli())/1000, labels...)
		for _, lun := range s.LUNs {
			c.collectLUN(ch, labels, lun)
		}
	}
}

func (c *targetCollector) collectLUN(ch chan<- prometheus.Metric, session []string, lun target.LUNStats) {
	labels := func(last string) []string {
		return append(append([]string(nil), session...), fmt.Sprint(lun.LUN), last)
	}
	counter := func(d *prometheus.Desc, n uint64, labels []string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	bounds := target.LatencyBounds()
	for d := range target.Directions {
		of := &lun.Directions[d]
		if d != target.NoData {
			counter(c.bytes, of.Bytes, labels(d.String()))
		}
		buckets := make(map[float64]uint64, len(bounds))
		upTo := uint64(0)
		for i, bound := range bounds {
			upTo += of.Latency.Buckets[i]
			buckets[bound.Seconds()] = upTo
		}
		ch <- prometheus.MustNewConstHistogram(c.latency, of.Latency.Count, of.Latency.Sum.Seconds(), buckets,
			labels(d.String())...)
	}
	counter(c.failures, lun.Checks, labels("check_condition"))
	counter(c.failures, lun.Conflicts, labels("reservation_conflict"))
	counter(c.failures, lun.Busy, labels("busy"))
	counter(c.failures, lun.Aborted, labels("aborted"))
}
