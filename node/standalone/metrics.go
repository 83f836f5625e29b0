package standalone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/node/metrics"
	"github.com/holdfast-storage/holdfast/target"
)

// checkMetrics refuses to show metrics to other machines unless that is meant: they come without any
// security, and name initiators and the blocks that they use.
func (o Options) checkMetrics() error {
	if o.Metrics == "" || o.MetricsOpen {
		return nil
	}
	host, _, err := net.SplitHostPort(o.Metrics)
	if err != nil {
		return fmt.Errorf("--metrics %s: want host:port", o.Metrics)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--metrics %s: other machines could read along, since metrics have no security: "+
			"use a loopback address, or add --metrics-open if that is meant", o.Metrics)
	}
	return nil
}

// metricsServer serves package metrics at one address.
type metricsServer struct {
	listener net.Listener
	http     *http.Server
	running  sync.WaitGroup
}

// newMetricsServer takes over l. Requests end with ctx.
func newMetricsServer(ctx context.Context, l net.Listener) *metricsServer {
	return &metricsServer{listener: l, http: &http.Server{ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout: 2 * time.Minute, BaseContext: func(net.Listener) context.Context { return ctx }}}
}

// serve shows a target until close. It does not block; failed is told if nothing can be shown any more.
func (m *metricsServer) serve(t *target.Server, failed func(error)) {
	mux := http.NewServeMux()
	if err := metrics.Handle(mux, t); err != nil {
		failed(err)
		return
	}
	m.http.Handler = mux
	m.running.Go(func() {
		if err := m.http.Serve(m.listener); !errors.Is(err, http.ErrServerClosed) {
			failed(fmt.Errorf("--metrics %s: %w", m.listener.Addr(), err))
		}
	})
}

// close ends all that runs, also if serve was never called.
func (m *metricsServer) close() {
	_ = m.http.Close()
	_ = m.listener.Close() // which nobody knows of yet if nothing was served
	m.running.Wait()
}
