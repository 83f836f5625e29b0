package standalone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/holdfast-storage/holdfast/node/metrics"
	"github.com/holdfast-storage/holdfast/target"
)

// showMetrics serves package metrics at l until ctx ends. It returns when it has begun.
func showMetrics(ctx context.Context, l net.Listener, t *target.Server, failed func(error)) error {
	mux := http.NewServeMux()
	if err := metrics.Handle(mux, t); err != nil {
		return errors.Join(err, l.Close())
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			failed(fmt.Errorf("--metrics %s: %w", l.Addr(), err))
		}
	}()
	return nil
}
