package host

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/node/engine"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// How long jobs may take before they are given up and tried again.
const (
	jobTimeout = 30 * time.Second
	guestGrace = 10 * time.Second // from asking a guest to end to killing it, unless its definition says
)

// dispatch starts the goroutine of one action, which ends by telling the core that the job is done.
// The loop calls it.
func (h *Host) dispatch(a action) {
	done := h.core.volumeDone
	if a.ofDomain() {
		done = func(_ volume.ID, now time.Duration, err error) { h.core.domainDone(a.name, now, err) }
	}
	do := h.jobOf(a)
	h.jobs.Go(func() {
		ctx, cancel := context.WithTimeout(h.life, jobTimeout+a.grace) // a grace that is cut off begins anew
		defer cancel()
		err := do(ctx)
		if err != nil && h.life.Err() == nil {
			h.options.Logger.Warn("host action failed and is tried again",
				"action", string(a.job), "object", a.name, "error", err)
		}
		h.post(func() { done(a.volume, h.now(), err) })
	})
}

// jobOf binds an action to the engine and guest that it is about.
func (h *Host) jobOf(a action) func(context.Context) error {
	e, g := h.engines[a.volume], h.guests[a.name]
	switch a.job {
	case startEngine:
		return func(ctx context.Context) error { return h.startEngine(ctx, a) }
	case stopEngine:
		return func(ctx context.Context) error { return e.endIf(ctx, a.attach) }
	case renewAttach:
		command := renewal(a.ticket, h.options.Node)
		return func(ctx context.Context) error { return h.replaceGrant(ctx, a, command) }
	case giveUp:
		return func(ctx context.Context) error { return h.replaceGrant(ctx, a, detachment(a.ticket)) }
	case startGuest:
		return func(ctx context.Context) error { return h.startGuest(ctx, a) }
	case endGuest:
		end := h.endSending(a.name)
		return func(ctx context.Context) error {
			if a.operation != 0 {
				if err := h.runOn(ctx, a, g, end); err != nil {
					return err
				}
			}
			return h.endGuest(ctx, a, g)
		}
	case guardGuest:
		return func(ctx context.Context) error { return h.guardGuest(ctx, a, e, g) }
	case settleGuest:
		disks := h.enginesOf(g)
		return func(ctx context.Context) error { return h.settleGuest(ctx, a, disks) }
	case receiveGuest:
		return func(ctx context.Context) error { return h.receiveGuest(ctx, a) }
	case plugGuest:
		disks := make([]*running, len(a.order.Volumes))
		for i, v := range a.order.Volumes {
			disks[i] = h.engines[v.ID]
		}
		return func(ctx context.Context) error { return h.plugGuest(ctx, a, g, disks) }
	case resumeGuest:
		end := h.endSending(a.name)
		return func(ctx context.Context) error {
			if err := end(ctx); err != nil {
				return err
			}
			return h.resumeGuest(ctx, a, g)
		}
	case pauseGuest, unpauseGuest:
		return func(ctx context.Context) error { return h.holdGuest(ctx, a, g) }
	case forgetGuest:
		return func(context.Context) error { return h.forgetGuest(a) }
	}
	return func(context.Context) error { return fmt.Errorf("action %q is unknown", a.job) }
}

func (h *Host) startEngine(ctx context.Context, a action) error {
	if err := h.ledger.record(a.volume, a.ticket.AttachID); err != nil {
		return err
	}
	e, s, err := h.spawn(ctx, *a.ticket)
	if err != nil {
		return err
	}
	h.options.Logger.Info("engine started", "volume", a.name, "epoch", s.Epoch, "pid", e.handle.ID().PID)
	h.post(func() { h.keep(e, s) })
	return nil
}

// endIf ends the engine unless it is gone or another one by now.
func (e *running) endIf(ctx context.Context, a volume.AttachID) error {
	if e == nil || e.hello.AttachID != a {
		return nil
	}
	return e.end(ctx)
}

// renewal asks for the next epoch on this host: an engine that ended takes a new one, and only if
// nobody else was granted the volume since (protocol-flush B.1). Maintenance is not renewed, see stepVolume.
func renewal(t *peer.Ticket, host volume.NodeID) raft.Command {
	return raft.Command{BeginAttach: &raft.BeginAttach{
		Volume: t.Volume, Host: host, AttachID: volume.NewAttachID(), Takeover: true,
		After: t.Epoch, Renews: t.AttachID,
	}}
}

// detachment ends an attachment whose engine died before it could do so, or one for maintenance whose engine died:
// nothing was flushed for certain, so it is not clean.
func detachment(t *peer.Ticket) raft.Command {
	return raft.Command{Detach: &raft.Detach{Volume: t.Volume, Epoch: t.Epoch}}
}

// replaceGrant has a command committed about a grant whose engine is gone, if the grant is still
// this host's. It asks first: an engine that detached ends just before the host hears of it.
func (h *Host) replaceGrant(ctx context.Context, a action, command raft.Command) error {
	still, err := h.stillGranted(ctx, a.ticket)
	if err != nil || !still {
		return err
	}
	h.options.Logger.Info("engine is gone", "volume", a.name, "epoch", a.ticket.Epoch,
		"action", string(a.job))
	result, err := h.options.Coordinators.Command(ctx, command)
	if err != nil {
		return fmt.Errorf("volume %s: %s: %w", a.name, a.job, err)
	}
	if result.Err != nil {
		return fmt.Errorf("volume %s: %s: %w", a.name, a.job, result.Err)
	}
	_, err = h.stillGranted(ctx, a.ticket)
	return err
}

// stillGranted fetches the newest assignment, has the core take it in, and reports whether it still
// holds this very ticket.
func (h *Host) stillGranted(ctx context.Context, t *peer.Ticket) (bool, error) {
	newest, err := h.options.Coordinators.Assignment(ctx, h.options.Node, 0)
	if err != nil {
		return false, fmt.Errorf("volume %s: fetch the newest assignment: %w", t.Name, err)
	}
	if newest.Generation < t.Generation {
		return false, fmt.Errorf("volume %s: only coordinators from before a restore answer: end them", t.Name)
	}
	h.Assign(newest)
	if !newest.Registered {
		return false, fmt.Errorf("volume %s: this node is not registered yet", t.Name)
	}
	for _, now := range newest.Attach {
		if now.Volume == t.Volume && now.AttachID == t.AttachID && now.Detach == t.Detach {
			return true, nil
		}
	}
	return false, nil
}

func (h *Host) endGuest(ctx context.Context, a action, g hosted) error {
	if g.process == nil || g.process.Order().Run != a.run {
		return nil
	}
	err := g.process.Stop(ctx, a.grace)
	h.post(func() { h.core.guestSeen(seenGuest(g.process)) })
	return err
}

// holdGuest has a guest stand still, or go on.
func (h *Host) holdGuest(ctx context.Context, a action, g hosted) error {
	if g.process == nil || g.process.Order().Run != a.run {
		return nil
	}
	guest, ok := g.process.(domain.Pauser)
	if !ok {
		return fmt.Errorf("domain %s: a guest of the driver %s cannot be paused", a.name, g.process.Order().Driver)
	}
	hold := guest.Unpause
	if a.job == pauseGuest {
		hold = guest.Pause
	}
	err := hold(ctx)
	h.post(func() { h.core.guestSeen(seenGuest(g.process)) })
	return err
}

// guardGuest has an engine kill the guest when its grant is lost, also while no daemon runs.
func (h *Host) guardGuest(ctx context.Context, a action, e *running, g hosted) error {
	if e == nil || e.hello.AttachID != a.attach || g.process == nil {
		return nil // one of the two is gone, and the core is about to hear of it
	}
	if err := guard(ctx, a.name, e, g.process); err != nil {
		return err
	}
	h.post(func() { h.core.guestGuarded(a.name, a.volume, a.attach) })
	return nil
}

// guard tells an engine which process it is to kill.
func guard(ctx context.Context, name string, e *running, process domain.Process) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answered, _, err := ask(ctx, e.dir, guardRequest(process))
	if err != nil {
		return err
	}
	if answered.hello != e.hello {
		return fmt.Errorf("domain %s: another engine of %s answered", name, e.name)
	}
	return nil
}

func guardRequest(p domain.Process) engine.Request {
	id, kill := p.ID(), p.KillCommand()
	verb := engine.VerbGuard
	if len(kill) > 0 {
		verb = engine.VerbGuardKill
	}
	return engine.Request{Verb: verb, Guard: &engine.Guard{PID: id.PID, StartTime: id.Start, Kill: kill}}
}

// enginesOf returns the engines of a guest's volumes. The loop calls it.
func (h *Host) enginesOf(g hosted) []*running {
	var all []*running
	if g.process != nil {
		for _, v := range g.process.Order().Volumes {
			if e := h.engines[v.ID]; e != nil {
				all = append(all, e)
			}
		}
	}
	return all
}

// settleGuest asks the engines of a guest that ended by itself for their state now, so that its own
// end is told from one that its engine made of it.
func (h *Host) settleGuest(ctx context.Context, a action, disks []*running) error {
	for _, e := range disks {
		if g, s, err := statusWithin(ctx, e.dir); err == nil && g.hello == e.hello {
			h.post(func() { h.core.engineSeen(e.name, s, h.now()) })
		} else if !e.handle.ID().Alive() {
			select {
			case <-e.gone: // the core was told
			case <-ctx.Done():
			}
		}
	}
	h.post(func() { h.core.guestSettled(a.name, a.run) })
	return nil
}
