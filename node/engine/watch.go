package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// The pace of what the engine says and asks of the coordinators on its own.
const (
	heartbeatEvery = 500 * time.Millisecond
	ticketPause    = 200 * time.Millisecond // after a watch that failed
	hintPause      = time.Second            // after a hint that was not confirmed
)

// heartbeats tells every coordinator that the engine lives, until the process ends. Its host counts
// as alive by it while the daemon is being restarted.
func (p *process) heartbeats() {
	for p.sleep(p.heartbeat()) {
	}
}

// heartbeat sends one heartbeat and returns when the next is due.
func (p *process) heartbeat() time.Duration {
	began := time.Now()
	h := peer.EngineHeartbeat{Node: p.start.Node, Engine: p.status()}
	replies, err := p.coordinators.EngineHeartbeat(p.life, h)
	next := pace(h.Engine.State, replies)
	p.mu.Lock()
	changed := (err == nil) != p.heard
	pause := spread(next, p.pace, rand.Float64())
	p.heard, p.pace = err == nil, next
	p.mu.Unlock()
	if changed && p.life.Err() == nil {
		p.log.Info("coordinators", "heard", err == nil, "cause", err)
	}
	return max(0, pause-time.Since(began))
}

// pace returns how often heartbeats are sent: as the most demanding coordinator wants it, and as often as
// ever while the engine does not serve, or a coordinator does not say.
func pace(state peer.EngineState, replies []peer.HeartbeatReply) time.Duration {
	if state != peer.EngineServing || len(replies) == 0 {
		return heartbeatEvery
	}
	slowest := replies[0].Pace
	for _, r := range replies {
		slowest = min(slowest, r.Pace)
	}
	return max(slowest, heartbeatEvery)
}

// spread turns a pace into a pause. The engines of a host often begin together: at one pace they would fall silent
// together, and their host would seem to be dead while its daemon is away. So the first pause of a slower pace
// than before is any part of it, and the others vary by an eighth. Chance is from 0 to 1.
func spread(pace, before time.Duration, chance float64) time.Duration {
	switch {
	case pace <= heartbeatEvery:
		return pace
	case pace > before:
		return time.Duration(chance * float64(pace))
	}
	return pace - time.Duration(chance*float64(pace/8))
}

// watchTicket follows the attachment's ticket until the process ends: legs come and go, and a detach
// is asked for.
func (p *process) watchTicket() {
	after := p.start.Ticket.Revision
	for p.life.Err() == nil {
		t, err := p.coordinators.Ticket(p.life, p.start.Ticket.Volume, p.start.Ticket.AttachID, after)
		switch {
		case err == nil:
			after = t.Revision
			p.takeTicket(t)
		case errors.Is(err, peer.ErrSuperseded):
			p.confirmSuperseded()
			p.sleep(hintPause)
		default:
			p.sleep(ticketPause)
		}
	}
}

// takeTicket brings the mirror's legs and the guest's limit up to date. A ticket of another attachment changes nothing.
func (p *process) takeTicket(t peer.Ticket) {
	own := &p.start.Ticket
	if t.Volume != own.Volume || t.AttachID != own.AttachID || t.Epoch != own.Epoch {
		p.log.Error("ticket of another attachment ignored", "volume", t.Volume, "epoch", t.Epoch)
		return
	}
	p.coordinators.SetPeers(t.Peers)
	if err := p.set.SetLegs(p.legSpecs(t.Legs)); err != nil {
		p.log.Error("legs of the ticket refused", "revision", t.Revision, "error", err)
	}
	p.takeLimit(t.Limit)
	p.guests.take(t.Credentials)
	p.scrubs.order(t.Scrub)
	if t.Detach {
		p.askDetach("the coordinators")
	}
}

// legSpecs makes adapters for the legs that the mirror does not know yet, and tells the others where
// their nodes are by now.
func (p *process) legSpecs(legs []peer.TicketLeg) []mirror.LegSpec {
	specs := make([]mirror.LegSpec, 0, len(legs))
	adapters := make(map[volume.LegID]*leg, len(legs))
	for _, l := range legs {
		spec := mirror.LegSpec{ID: l.ID, Slot: l.Slot, InSync: l.State == volume.LegInSync, Since: l.Since,
			Join: l.Join, Retiring: l.Retiring, Replaces: l.Replaces}
		adapter := p.legs[l.ID]
		if adapter == nil || p.set == nil || !p.set.Knows(l.ID) {
			adapter = newLeg(&p.start.Ticket, l, &p.bursts, p.waits, p.log)
			spec.Leg = adapter
		} else {
			adapter.moveTo(l.Portal)
		}
		adapters[l.ID] = adapter
		specs = append(specs, spec)
	}
	for id, adapter := range p.legs {
		if adapters[id] == nil && p.set != nil && p.set.Knows(id) {
			adapters[id] = adapter // the mirror is not done with it, and a later ticket may name it again
		}
	}
	p.legs = adapters
	nodes := make(map[volume.LegID]string, len(legs))
	for _, l := range legs {
		nodes[l.ID] = l.Node
	}
	p.mu.Lock()
	p.nodes = nodes
	p.mu.Unlock()
	return specs
}

// confirmSuperseded asks raft itself whether the grant is lost: what a coordinator says on the side
// is a hint, since it may lag or belong to a cluster that was restored. Before the volume serves,
// the mirror asks all the time anyway, and Activate would not be a mere question.
func (p *process) confirmSuperseded() {
	if !p.isServing() || p.isLeaving() {
		return
	}
	ctx, cancel := context.WithTimeout(p.life, 5*time.Second)
	defer cancel()
	_, err := p.authority.Activate(ctx, p.start.Ticket.Epoch)
	// The attachment may have ended because this engine detached it meanwhile.
	if errors.Is(err, mirror.ErrSuperseded) && !p.isLeaving() {
		p.over(err)
	}
}
