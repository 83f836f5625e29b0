package static

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/holdfast-storage/holdfast/netio"
	"github.com/holdfast-storage/holdfast/target"
)

// Options say what Serve serves.
type Options struct {
	Listeners      []net.Listener // at least one; closed by Serve
	Targets        []Target
	Logger         *slog.Logger // nil discards
	MaxConnections int          // as target.Options has it
	MemoryBytes    int64        // as target.Options has it
	// Started is called with the server before it serves; nil = nobody wants to know.
	Started func(*target.Server)
	// ShutdownTimeout bounds the wait for commands that are executing when ctx ends; 0 = 10 s.
	ShutdownTimeout time.Duration
}

// farewell is for how long initiators that were asked to log out are waited for.
const farewell = 2 * time.Second

// Serve serves until ctx ends, then shuts down in order and returns nil; it returns the error if the
// options are wrong, a portal fails, or commands do not end in time. The logical units' devices stay
// the caller's to flush and close; no command uses them any more once Serve has returned nil.
func Serve(ctx context.Context, o Options) error {
	admission, err := NewAdmission(o.Targets...)
	if err == nil && len(o.Listeners) == 0 {
		err = errors.New("no portal to serve on")
	}
	var server *target.Server
	if err == nil {
		server, err = target.New(target.Options{Admission: admission, Logger: o.Logger, Waits: netio.NewWaits(),
			Farewell: farewell, MaxConnections: o.MaxConnections, MemoryBytes: o.MemoryBytes})
	}
	if err != nil {
		for _, l := range o.Listeners {
			_ = l.Close()
		}
		return err
	}
	if o.Started != nil {
		o.Started(server)
	}
	failed := make(chan error, len(o.Listeners))
	for _, l := range o.Listeners {
		go func() { failed <- server.Serve(l) }()
	}
	running := len(o.Listeners)
	select {
	case <-ctx.Done():
	case err = <-failed:
		running--
	}
	timeout := o.ShutdownTimeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	// ctx has ended, or a portal has: either way the time to shut down in is of its own.
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	err = errors.Join(err, server.Shutdown(wait))
	for range running {
		err = errors.Join(err, <-failed)
	}
	return err
}
