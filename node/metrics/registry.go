package metrics

import (
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holdfast-storage/holdfast/node/peer"
)

// Sources are what a node's metrics come from.
type Sources struct {
	Collectors []prometheus.Collector // of its roles
	Gatherers  []prometheus.Gatherer  // of other processes, such as its engines
}

// Gatherer returns all metrics of a process and its roles.
func (s Sources) Gatherer() (prometheus.Gatherer, error) {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "holdfast_build_info",
		Help: "1; the build of the program.", ConstLabels: prometheus.Labels{"build": peer.Build()}})
	build.Set(1)
	all := append([]prometheus.Collector{collectors.NewGoCollector(), build,
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}, s.Collectors...)
	for _, c := range all {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return append(prometheus.Gatherers{registry}, s.Gatherers...), nil
}

// HandleMetrics adds PathMetrics to a mux. What one source cannot tell does not keep back the others.
func HandleMetrics(mux *http.ServeMux, s Sources) error {
	g, err := s.Gatherer()
	if err != nil {
		return err
	}
	mux.Handle("GET "+PathMetrics, promhttp.HandlerFor(g, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError}))
	return nil
}
