package node

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// Run serves until ctx ends or a part fails for good, then ends all parts and gives back what Open
// took. Engines and guests go on.
func (d *Daemon) Run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var parts sync.WaitGroup
	part := func(run func(context.Context) error) {
		parts.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				fail(err)
			}
		})
	}
	public, peers := d.handlers()
	public, err := d.withMetrics(public)
	if err != nil {
		return errors.Join(err, d.close())
	}
	part(func(ctx context.Context) error { return serveHTTP(ctx, d.socket, fromSocket(public), nil, d.log) })
	part(func(ctx context.Context) error {
		return serveHTTP(ctx, d.api, &edge{cluster: d.config.Cluster.ID, now: time.Now, removed: d.removedNode,
			untold: d.untold, strangers: newStrangers(), next: split(public, peers)}, d.identity.OpenServerTLS(), d.log)
	})
	if d.coordinator != nil {
		part(func(ctx context.Context) error { d.coordinator.Run(ctx); return nil })
		part(d.forgetAuthority)
		part(d.reviewMembers)
	}
	if d.storage != nil {
		part(func(ctx context.Context) error { d.storage.Run(ctx); return nil })
		part(d.servePortal)
	}
	if d.host != nil {
		part(d.host.Run)
	}
	part(func(ctx context.Context) error { d.images.Run(ctx); return nil })
	part(func(ctx context.Context) error { d.renewals(ctx); return nil })
	m := &membership{Daemon: d}
	part(m.beat)
	part(m.follow)
	d.log.Info("node is up", "id", d.config.ID, "api", d.config.Listen.API, "roles", d.config.Roles)

	<-ctx.Done()
	d.log.Info("node is ending", "cause", context.Cause(ctx))
	parts.Wait()
	err = d.close()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

// servePortal serves iSCSI until ctx ends; close waits for the commands in flight.
func (d *Daemon) servePortal(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = d.portal.Close() })()
	err := d.target.Serve(d.portal)
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
