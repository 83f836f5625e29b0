package host

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/holdfast-storage/holdfast/node/engine"
)

// metricsTimeout is how long the engines have to tell their metrics: one that hangs is left out.
const metricsTimeout = time.Second

// Gather returns the metrics of every engine on this host that answers in time. It implements
// prometheus.Gatherer. An engine that does not answer is missed by what its daemon and health say, not here.
func (h *Host) Gather() ([]*dto.MetricFamily, error) {
	names, err := entries(EngineDir(h.options.RunDir, ""))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(h.life, metricsTimeout)
	defer cancel()
	answers := make([]prometheus.Gatherer, len(names))
	var asked sync.WaitGroup
	for i, name := range names {
		asked.Go(func() {
			families, err := engineMetrics(ctx, EngineDir(h.options.RunDir, name), name)
			if err != nil {
				h.options.Logger.Debug("no metrics of an engine", "volume", name, "error", err)
			}
			answers[i] = prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
		})
	}
	asked.Wait()
	return prometheus.Gatherers(answers).Gather()
}

// engineMetrics asks the engine in dir. What it says may only be of its own volume.
func engineMetrics(ctx context.Context, dir, name string) ([]*dto.MetricFamily, error) {
	_, response, err := ask(ctx, dir, engine.Request{Verb: engine.VerbMetrics})
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(response.Metrics))
	if err != nil {
		return nil, fmt.Errorf("engine of %s: its metrics: %w", name, err)
	}
	families := make([]*dto.MetricFamily, 0, len(parsed))
	for of, f := range parsed {
		if !strings.HasPrefix(of, engine.MetricPrefix) {
			return nil, fmt.Errorf("engine of %s: metric %s is none of an engine's", name, of)
		}
		for _, m := range f.Metric {
			if volumeOf(m) != name {
				return nil, fmt.Errorf("engine of %s: metric %s is of volume %q", name, of, volumeOf(m))
			}
		}
		families = append(families, f)
	}
	return families, nil
}

func volumeOf(m *dto.Metric) string {
	for _, l := range m.Label {
		if l.GetName() == "volume" {
			return l.GetValue()
		}
	}
	return ""
}

// Collectors returns the metrics of the role, to be registered once.
func (h *Host) Collectors() []prometheus.Collector { return []prometheus.Collector{newCollector(h)} }

// collector tells what the host runs.
type collector struct {
	host             *Host
	engines, domains *prometheus.Desc
}

func newCollector(h *Host) *collector {
	return &collector{host: h,
		engines: prometheus.NewDesc("holdfast_host_engine_state", "1 for the state that the daemon saw an engine in.",
			[]string{"volume_id", "state"}, nil),
		domains: prometheus.NewDesc("holdfast_host_domain_state", "1 for the state that a domain is in.",
			[]string{"domain", "state"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.engines
	ch <- c.domains
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	engines, domains := c.host.Status()
	for _, e := range engines {
		ch <- prometheus.MustNewConstMetric(c.engines, prometheus.GaugeValue, 1, e.Volume.String(), string(e.State))
	}
	for _, d := range domains {
		ch <- prometheus.MustNewConstMetric(c.domains, prometheus.GaugeValue, 1, d.Name, d.State)
	}
}
