package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
)

// host is one engine process: a real mirror.Core and what drives it, with the guest that uses it. A
// process is paused with its guest, dies with it, and never takes a second epoch.
type host struct {
	w      *world
	name   string
	node   volume.NodeID // machine on which it runs
	epoch  volume.Epoch
	attach volume.AttachID
	clock  clock
	core   *mirror.Core

	slots                [mirror.MaxLegs]*slot
	seqs                 [mirror.MaxLegs]uint32 // sessions that each index of the core has had
	links                map[*node]*link
	noRaft               bool // the coordinators cannot be reached
	paused               bool
	dead                 bool
	stopped              error
	detached             bool
	serving              bool
	activated, legsMoved bool // what the invariants look at
	backlog              []func()
	tickAt               time.Duration // on its own clock
	guest                *guest
	scrubs               []*mirror.ScrubReport
}

// slot is one leg of the core with its present session.
type slot struct {
	id       volume.LegID
	node     *node
	session  *session
	running  bool // between EffectStart and EffectStop
	state    mirror.LegState
	declared bool // Activate declared its loss, and it has had no CONFIG since
	lossy    bool // its login in this epoch showed a lost cache, and it has not joined since
	pause    time.Duration
}

const maxPause = time.Second // between two logins

// newHost attaches the volume in a new epoch; nil if the coordinators refuse.
func (w *world) newHost(accept bool) *host {
	machine := w.nodes[w.rng.IntN(len(w.nodes))].id
	epoch, attach, ok := w.raft.beginAttach(machine, accept)
	if !ok {
		return nil
	}
	return w.startEngine(machine, epoch, attach)
}

// startEngine starts an engine process with a grant.
func (w *world) startEngine(machine volume.NodeID, epoch volume.Epoch, attach volume.AttachID) *host {
	h := &host{w: w, name: fmt.Sprintf("h%d", len(w.hosts)+1), node: machine, epoch: epoch, attach: attach,
		clock: w.newClock(), links: map[*node]*link{}}
	core, err := mirror.NewCore(mirror.CoreOptions{Epoch: epoch, SizeBytes: w.raft.vol().SizeBytes,
		Layout: w.raft.vol().Layout, Broken: w.opts.Broken.Mirror, Timing: w.profile.timing})
	if err != nil {
		w.fail("setup", "new core: %v", err)
		return nil
	}
	h.core, h.guest = core, newGuest(w)
	w.hosts = append(w.hosts, h)
	w.watch.started(h)
	w.logf("%s attaches in epoch %s", h.name, epoch)
	h.syncLegs()
	h.step(&mirror.Event{Kind: mirror.EventAttach})
	h.watchTicket()
	h.guest.work(h)
	return h
}

// forgiveDeclared notes that a loss which Activate declared is no reason against a leg any more.
func (h *host) forgiveDeclared() {
	a := h.w.raft.vol().Attach
	for _, s := range h.slots {
		if s != nil && a != nil && slices.Contains(a.Lossy, s.id) {
			s.lossy, s.declared = false, true
		}
	}
}

// link returns the network between the engine and a node.
func (h *host) link(n *node) *link {
	if h.links[n] == nil {
		h.links[n] = &link{}
	}
	return h.links[n]
}

// watchTicket brings the legs up to date now and then, as the engine does with its ticket.
func (h *host) watchTicket() {
	h.w.after(time.Second, func() {
		if h.over() {
			return
		}
		if !h.noRaft && !h.w.raft.noone {
			h.run(h.syncLegs)
		}
		h.watchTicket()
	})
}

// syncLegs tells the core of the volume's legs as raft has them now.
func (h *host) syncLegs() {
	v := h.w.raft.vol()
	if h.over() || v.Epoch != h.epoch || v.Attach == nil {
		return
	}
	for i, s := range h.slots {
		if s != nil && v.Leg(s.id) == nil {
			h.step(&mirror.Event{Kind: mirror.EventForget, Leg: mirror.LegIndex(i)})
		}
	}
	for _, l := range v.Legs {
		if !l.Provisioned {
			continue
		}
		i := slices.IndexFunc(h.slots[:], func(s *slot) bool { return s != nil && s.id == l.ID })
		if i < 0 {
			i = slices.Index(h.slots[:], nil)
			h.slots[i] = &slot{id: l.ID, node: h.w.nodeOf(l.Node)}
		}
		absent := l.State == volume.LegStale || l.State == volume.LegRebuilding
		h.step(&mirror.Event{Kind: mirror.EventLeg, Leg: mirror.LegIndex(i), Info: &mirror.LegInfo{ID: l.ID,
			Slot: l.Slot, InSync: l.State == volume.LegInSync, Since: l.LastISRCfg, Join: absent && !l.Retiring,
			Retiring: l.Retiring, Replaces: l.Replaces}})
	}
}

// over reports whether the process does nothing any more.
func (h *host) over() bool { return h.dead || h.stopped != nil || h.detached }

// current reports whether its epoch is the newest one granted.
func (h *host) current() bool { return h.w.raft.vol().Epoch == h.epoch }

// run runs f now, or when the process goes on after a pause.
func (h *host) run(f func()) {
	switch {
	case h.dead:
	case h.paused:
		h.backlog = append(h.backlog, f)
	default:
		f()
	}
}

// pause stops the process for a while; what arrives waits.
func (h *host) pause(d time.Duration) {
	if h.paused || h.over() {
		return
	}
	h.w.logf("%s pauses for %s", h.name, d)
	h.paused = true
	h.w.after(d, h.resume)
}

func (h *host) resume() {
	if !h.paused {
		return
	}
	h.w.logf("%s resumes", h.name)
	h.paused = false
	list := h.backlog
	h.backlog = nil
	for i, f := range list {
		if h.paused {
			h.backlog = append(list[i:], h.backlog...)
			return
		}
		h.run(f)
	}
}

// die ends the process and its guest. The kernel closes its sessions; what was sent may still arrive.
func (h *host) die() {
	if h.dead {
		return
	}
	h.w.logf("%s dies", h.name)
	h.dead, h.paused, h.backlog = true, false, nil
	for _, s := range h.slots {
		if s != nil && s.session != nil {
			s.session.atHost = false
			n, session := s.node, s.session
			session.toNode(func() { n.sessionLost(session) })
		}
	}
}

// step gives the core an event at the time of the process's clock and carries out what follows.
func (h *host) step(ev *mirror.Event) {
	effects := h.core.Step(h.clock.read(h.w.now), ev, nil)
	h.trace(ev, effects)
	h.note(effects)
	h.w.watch.stepped(h)
	for i := range effects {
		h.carryOut(&effects[i])
	}
	h.arm()
}

// note keeps what the invariants look at.
func (h *host) note(effects []mirror.Effect) {
	for i := range effects {
		switch x := &effects[i]; x.Kind {
		case mirror.EffectLeg:
			h.slots[x.Leg].state, h.legsMoved = x.To, true
			h.w.moved(h, h.slots[x.Leg], x.To)
			h.slots[x.Leg].declared = h.slots[x.Leg].declared && x.To != mirror.LegInSync
			h.slots[x.Leg].lossy = h.slots[x.Leg].lossy && x.To != mirror.LegInSync &&
				x.To != mirror.LegConfiguring
		case mirror.EffectStage:
			h.activated = h.activated || x.Text == "activated"
			if x.Text == "activated" {
				h.forgiveDeclared()
			}
			h.legsMoved = true
		}
	}
}

func (h *host) arm() {
	at := h.core.Deadline()
	if at == 0 || h.tickAt != 0 && h.tickAt <= at {
		return
	}
	h.tickAt = at
	h.w.after(h.clock.when(at)-h.w.now, func() {
		h.run(func() {
			if h.tickAt == at {
				h.tickAt = 0
				h.step(&mirror.Event{Kind: mirror.EventTick})
			}
		})
	})
}

// carryOut does an effect, sometimes late: effects of different steps overtake each other.
func (h *host) carryOut(x *mirror.Effect) {
	switch x.Kind {
	case mirror.EffectSubmit, mirror.EffectPing, mirror.EffectCall:
		e, data := *x, []content(nil)
		if x.Stage != nil {
			e.Stage, data = planOf(x.Stage), x.Data.(*payload).part(x, h.w.set.layout.Data)
		}
		if h.w.chance(10) {
			h.w.after(h.w.latency(), func() { h.run(func() { h.send(e, data) }) })
			return
		}
		h.send(e, data)
	case mirror.EffectDeliver:
		h.guest.delivered(h, x.Guest.(*guestRequest), x.Data.(*payload), x.Range)
	case mirror.EffectComplete:
		h.guest.completed(h, x.Guest.(*guestRequest), x.Err)
	case mirror.EffectRelease:
		x.Data.(*payload).release(h.w)
	case mirror.EffectFill:
		fill(x)
	case mirror.EffectChange, mirror.EffectEncode, mirror.EffectTrim, mirror.EffectDecode:
		h.compute(x)
	case mirror.EffectVerify:
		e := *x
		h.w.after(h.w.latency(), func() { h.run(func() { h.verify(&e) }) })
	case mirror.EffectStart:
		h.slots[x.Leg].running = true
		h.connect(x.Leg)
	case mirror.EffectStop:
		h.stop(x.Leg)
	case mirror.EffectReset:
		leg, seq := x.Leg, x.Req.Sess
		h.w.after(h.w.latency(), func() { h.run(func() { h.reset(leg, seq) }) })
	case mirror.EffectStage:
		if x.Text == "serving" {
			h.serving = true
			h.w.watch.serves(h)
		}
	case mirror.EffectStopped:
		h.stopped = x.Err
		h.w.watch.engineStopped(h, x.Err)
	case mirror.EffectDetached:
		h.detached = true
	case mirror.EffectScrubbed:
		h.w.watch.scrubbed(h, x.Scrub)
	}
}

// stop ends a leg's connection for good and frees its place when the core let it go.
func (h *host) stop(i mirror.LegIndex) {
	s := h.slots[i]
	if s == nil {
		return
	}
	s.running = false
	if s.session != nil {
		s.session.closeAtHost(errLost)
	}
	if !h.over() {
		h.slots[i] = nil
	}
}

func (h *host) reset(i mirror.LegIndex, seq uint32) {
	if s := h.slots[i]; s != nil && s.session != nil && s.session.seq == seq {
		s.session.closeAtHost(errLost)
	}
}

// connect logs in to a leg after a moment, again and again until it succeeds. A login that the engine
// gave up may still reach the leg, much later.
func (h *host) connect(i mirror.LegIndex) {
	s := h.slots[i]
	s.pause = min(max(2*s.pause, 20*time.Millisecond), maxPause)
	h.w.after(h.w.pick(s.pause), func() {
		h.run(func() {
			if h.over() || !s.running || s.session != nil {
				return
			}
			h.login(i, s)
		})
	})
}

// login sends one login. The connection is new, so that logins overtake each other.
func (h *host) login(i mirror.LegIndex, s *slot) {
	w := h.w
	c := &session{h: h, n: s.node, leg: i, link: h.link(s.node), atHost: true, atNode: true}
	s.session = c
	given := false
	giveUp := func(err error) {
		if given || !c.atHost {
			return
		}
		given, c.atHost, s.session = true, false, nil
		h.step(&mirror.Event{Kind: mirror.EventDown, Leg: i, Err: err})
		if !errors.Is(err, block.ErrFenced) {
			h.connect(i)
		}
	}
	limit := time.Second // to connect
	if !c.link.cutTo && !c.link.cutFrom && c.n.on {
		limit = 10 * time.Second // to log in
	}
	w.after(limit, func() { h.run(func() { giveUp(errLost) }) })
	delay := time.Duration(0)
	if !w.calm && w.chance(w.profile.lateLogin) {
		delay = w.pick(30 * time.Second)
		w.lateUntil = max(w.lateUntil, w.now+delay+10*time.Second)
	}
	c.toAt = w.now + delay
	c.toNode(func() {
		c.n.login(c, s.id, leg.Login{Epoch: h.epoch, Attach: h.attach}, func(r volume.LegReport, err error) {
			c.toHost(func() {
				if given {
					return
				}
				if err != nil {
					giveUp(err)
					return
				}
				given = true
				s.pause = 0
				h.seqs[i]++
				c.seq = h.seqs[i]
				s.lossy = s.lossy || r.Lossy && !s.declared
				h.step(&mirror.Event{Kind: mirror.EventUp, Leg: i, Report: &r})
			})
		})
	})
}

// sessionEnded tells the core, then connects again.
func (h *host) sessionEnded(c *session, cause error) {
	s := h.slots[c.leg]
	if s == nil || s.session != c {
		return
	}
	s.session = nil
	if h.over() || !s.running {
		return
	}
	if c.seq != 0 {
		h.step(&mirror.Event{Kind: mirror.EventDown, Leg: c.leg, Err: cause})
	}
	if !errors.Is(cause, block.ErrFenced) && s.running {
		h.connect(c.leg)
	}
}

// planOf copies a plan, which is its write's again when the engine stops.
func planOf(p *mirror.StagePlan) *mirror.StagePlan {
	plan := *p
	plan.Legs = slices.Clone(p.Legs)
	return &plan
}

// send carries a request or ping on whatever session there is, a command on the one that it was
// decided for, and a question to the coordinators.
func (h *host) send(x mirror.Effect, record []content) {
	if x.Kind == mirror.EffectCall && !x.Command.Kind.ToLeg() {
		h.ask(x)
		return
	}
	s := h.slots[x.Leg]
	r := &request{x: x}
	if p, ok := x.Data.(*payload); ok && p != nil {
		if r.data = record; record == nil {
			r.data = p.hold(x.Range)
		} else {
			p.held++
		}
	}
	c := (*session)(nil)
	if s != nil && s.session != nil && s.session.seq != 0 && s.session.atHost {
		c = s.session
	}
	if c == nil || x.Kind == mirror.EffectCall && c.seq != x.Req.Sess {
		h.w.after(0, func() { h.run(func() { h.answered(r, answer{err: errLost}) }) })
		return
	}
	r.s = c
	c.send(r)
}

// ask puts a question to the coordinators.
func (h *host) ask(x mirror.Effect) {
	if x.Command.Kind == mirror.CommandActivate && h.w.opts.Broken.Driver&ServeOnLogin != 0 {
		h.serveOnLogin(x)
		return
	}
	h.w.raft.ask(h, &x, func(r mirror.Reply, err error) {
		h.run(func() { h.step(&mirror.Event{Kind: mirror.EventAnswer, Call: x.Call, Err: err, Reply: r}) })
	})
}

// answered gives an answer to the core.
func (h *host) answered(r *request, a answer) {
	if h.dead {
		return
	}
	x := &r.x
	if p, ok := x.Data.(*payload); ok && p != nil {
		p.held--
	}
	switch x.Kind {
	case mirror.EffectSubmit:
		if a.err == nil && x.Op.Changes() {
			h.w.watch.confirmed(h, r)
		}
		ev := mirror.Event{Kind: mirror.EventDone, Req: x.Req, Op: x.Op, Err: a.err}
		if x.Op == block.OpRead && a.err == nil {
			ev.Data = &payload{rng: x.Range, blocks: a.data}
		}
		h.step(&ev)
	case mirror.EffectPing:
		h.step(&mirror.Event{Kind: mirror.EventPong, Leg: x.Leg, Sess: x.Req.Sess, Err: a.err})
	case mirror.EffectCall:
		h.step(&mirror.Event{Kind: mirror.EventAnswer, Call: x.Call, Err: a.err, Reply: a.reply})
	}
}
