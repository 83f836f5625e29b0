package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-storage/holdfast/node/peer"
)

// askDetach asks for a clean end; it does not wait for it.
func (p *process) askDetach(who string) {
	select {
	case p.detach <- struct{}{}:
		p.log.Info("detach asked for", "by", who)
	default: // it has been asked for
	}
}

// requestDetach asks for a clean end and returns how it went.
func (p *process) requestDetach(who string) error {
	p.askDetach(who)
	select {
	case <-p.detached:
		return p.detachResult()
	case <-p.lost:
		return p.overError()
	case <-p.life.Done():
	}
	select {
	case <-p.detached:
		return p.detachResult()
	default:
		return errors.New("the engine ends without detaching")
	}
}

func (p *process) detachResult() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.detachErr
}

// leave flushes and detaches cleanly; the engine is at its end then. The guest's last
// requests are answered first; the guest itself was ended by whoever asked. It waits for a
// coordinator as long as it takes: until the detach is committed the engine holds the grant, and
// only the end of ctx or the loss of the grant ends the wait.
func (p *process) leave(outer context.Context, x *exports) error {
	p.leaving()
	p.throttle.Lift() // what waits is the guest's last, and no reason to be late
	p.copies.tracker.Close()
	x.drain()
	ctx, cancel := context.WithCancel(outer)
	defer cancel()
	p.running.Go(func() {
		select {
		case <-p.lost:
			cancel()
		case <-ctx.Done():
		}
	})
	clean, err := p.set.Detach(ctx)
	if p.isLost() {
		return p.overError()
	}
	if err == nil {
		p.scrubs.settle(ctx)
		p.log.Info("detached", "clean", clean)
		p.finish(peer.EngineDetached, "")
		p.heartbeat()
	} else {
		err = fmt.Errorf("detach volume %s: %w", p.start.Ticket.Name, err)
		p.finish(peer.EngineFailed, err.Error())
	}
	p.mu.Lock()
	p.detachErr = err
	p.mu.Unlock()
	close(p.detached)
	if outer.Err() != nil && err != nil {
		p.log.Info("engine ends before it was detached", "cause", context.Cause(outer))
		return nil
	}
	return err
}

func (p *process) isLost() bool {
	select {
	case <-p.lost:
		return true
	default:
		return false
	}
}
