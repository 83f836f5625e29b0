package node

import (
	"context"
	"time"

	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/node/pause"
)

// The pauses of a renewal that failed: a tenth of what is left of the certificate's life, in bounds.
const (
	renewPauseMin = 200 * time.Millisecond
	renewPauseMax = 10 * time.Minute
	// renewPauseOver is the pause once the certificate has expired.
	renewPauseOver = time.Minute
)

// renewals renews the node's certificate whenever two thirds of its life are over, until ctx ends.
func (d *Daemon) renewals(ctx context.Context) {
	for failed := false; ctx.Err() == nil; {
		cert := d.identity.Certificate()
		pause.For(ctx, renewalDue(cert.NotAfter, identity.RenewAt(cert), time.Now(), failed))
		if ctx.Err() != nil || time.Now().Before(identity.RenewAt(d.identity.Certificate())) {
			continue
		}
		err := d.renew(ctx)
		if failed = err != nil; failed && ctx.Err() == nil {
			if over := identity.CheckTime(d.identity.Certificate(), time.Now()); over != nil {
				err = over // this says what to do
			}
			d.log.Error("certificate not renewed", "not_after", d.identity.Certificate().NotAfter, "error", err)
		}
	}
}

// renewalDue returns how long to wait for the next attempt to renew a certificate. A long wait is cut
// short, since the clock may be set meanwhile.
func renewalDue(end, due, now time.Time, failed bool) time.Duration {
	if failed && !now.Before(end) {
		return renewPauseOver // what it takes is somebody who has it join again
	}
	if failed {
		return min(max(end.Sub(now)/10, renewPauseMin), renewPauseMax)
	}
	return min(max(due.Sub(now), 0), renewPauseMax)
}

// renew gets and installs another certificate.
func (d *Daemon) renew(ctx context.Context) error {
	der, err := d.client.Renew(ctx)
	if err != nil {
		return err
	}
	if err := d.identity.Renew(der); err != nil {
		return err
	}
	d.client.Reconnect()
	d.web.CloseIdleConnections()
	d.log.Info("certificate renewed", "not_after", d.identity.Certificate().NotAfter)
	return nil
}
