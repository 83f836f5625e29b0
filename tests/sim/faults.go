package sim

import (
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// faultTable says what each kind of fault does.
func faultTable(f faultWeights) []weighted {
	return []weighted{
		{f.breakSession, (*world).breakSession}, {f.cutLink, (*world).cutLink}, {f.split, (*world).split},
		{f.restart, (*world).restart}, {f.stop, (*world).stopNode}, {f.powerCut, (*world).powerCut},
		{f.siteCut, (*world).siteCut}, {f.hang, (*world).hang}, {f.slow, (*world).slow},
		{f.pause, (*world).pauseEngine}, {f.takeover, (*world).takeover}, {f.engineDies, (*world).engineDies},
		{f.noRaft, (*world).cutRaft}, {f.raftDown, (*world).raftDown}, {f.election, (*world).election},
		{f.full, (*world).fillUp}, {f.eio, (*world).spoil}, {f.rot, (*world).rot}, {f.failFlush,
			(*world).failFlush},
		{f.idle, (*world).idle}, {f.detach, (*world).detach}, {f.replace, (*world).replaceLeg},
		{f.accept, (*world).acceptLoss}, {f.crossfire, (*world).crossfire}, {f.attachCut, (*world).attachCut},
		{f.failMeta, (*world).failMeta}, {f.rotMeta, (*world).rotMeta}, {f.lying, (*world).lie},
		{f.pauseNode, (*world).pauseNode}, {f.fillJoiners, (*world).fillJoiners}, {f.scrub, (*world).orderScrub},
		{f.jumpClock, (*world).jumpClock}, {f.clone, (*world).clone},
		{f.setBack, (*world).setBack}, {f.empty, (*world).empty}, {f.restore, (*world).restoreRaft},
	}
}

// later has a fault happen when d has passed, unless faults have ended by then.
func (w *world) later(d time.Duration, fault func()) {
	w.after(d, func() {
		if !w.calm {
			fault()
		}
	})
}

// legNodes returns the nodes that have a leg of the volume.
func (w *world) legNodes() []*node {
	var list []*node
	for _, n := range w.nodes {
		if n.leg != nil {
			list = append(list, n)
		}
	}
	return list
}

func (w *world) someNode() *node {
	list := w.legNodes()
	return list[w.rng.IntN(len(list))]
}

// newest returns the engine that was granted the volume last.
func (w *world) newest() *host { return w.hosts[len(w.hosts)-1] }

// someHost returns an engine that lives: mostly the newest.
func (w *world) someHost() *host {
	var list []*host
	for _, h := range w.hosts {
		if !h.over() {
			list = append(list, h)
		}
	}
	if len(list) == 0 || w.chance(2) {
		return w.newest()
	}
	return list[w.rng.IntN(len(list))]
}

// breakSession breaks the connection between an engine and a node.
func (w *world) breakSession() {
	h := w.someHost()
	for _, s := range h.slots {
		if s != nil && s.session != nil && s.session.seq != 0 && w.chance(2) {
			s.session.closeAtHost(errLost)
			return
		}
	}
}

// cutLink cuts the network between an engine and a node, in one direction or both, for a while.
func (w *world) cutLink() {
	h, n := w.someHost(), w.someNode()
	l := h.link(n)
	kind := w.rng.IntN(4)
	w.cut(h, n, kind != 1, kind != 2)
	if kind == 3 { // only slow
		l.cutTo, l.cutFrom, l.delay = false, false, w.pick(time.Second)
	}
	w.after(w.pick(8*time.Second), func() { w.heal(h, n) })
}

// cut cuts a link. The engine finds out when nothing has come for a while.
func (w *world) cut(h *host, n *node, to, from bool) {
	l := h.link(n)
	l.cutTo, l.cutFrom = l.cutTo || to, l.cutFrom || from
	w.logf("%s and %s are cut (to %v, from %v)", h.name, n.name, to, from)
	for _, s := range h.slots {
		if s == nil || s.node != n || s.session == nil || s.session.seq == 0 {
			continue
		}
		c := s.session
		w.after(2*time.Second+w.pick(3*time.Second), func() {
			if l.cutTo || l.cutFrom {
				h.run(func() { c.closeAtHost(errLost) })
			}
		})
	}
}

// heal mends a link; what the network held arrives.
func (w *world) heal(h *host, n *node) {
	l := h.link(n)
	if !l.cutTo && !l.cutFrom && l.delay == 0 {
		return
	}
	*l = link{}
	for _, s := range h.slots {
		if s != nil && s.node == n && s.session != nil {
			s.session.healed()
		}
	}
	if n.leg != nil {
		for _, id := range n.leg.sessionIDs() {
			if c := n.leg.sessions[id]; c.h == h && !c.atHost {
				c.healed()
			}
		}
	}
}

// split parts the network: the newest engine is left with one node and without coordinators, another
// host takes over and reaches everything but that node.
func (w *world) split() {
	old, x := w.newest(), w.someNode()
	if old.over() {
		return
	}
	old.noRaft = true
	for _, n := range w.legNodes() {
		if n != x {
			w.cut(old, n, true, true)
		}
	}
	h := w.newHost(false)
	if h != nil {
		w.cut(h, x, true, true)
	}
	w.after(w.pick(12*time.Second), func() {
		old.noRaft = false
		for _, n := range w.nodes {
			w.heal(old, n)
		}
		if h != nil {
			w.heal(h, x)
		}
	})
}

// restart restarts a node's process; the page cache stays.
func (w *world) restart() {
	w.endProcess(w.someNode(), 300*time.Millisecond)
}

// stopNode stops a node's process for a while.
func (w *world) stopNode() {
	w.endProcess(w.someNode(), 10*time.Second)
}

// powerCut cuts the power of one node.
func (w *world) powerCut() {
	n := w.someNode()
	n.powerCut()
	w.after(w.pick(4*time.Second), n.start)
}

// siteCut cuts the power of all nodes, at once or one after the other, and of the engines mostly.
func (w *world) siteCut() {
	for _, n := range w.legNodes() {
		w.later(w.pick(50*time.Millisecond), func() {
			n.powerCut()
			w.after(w.pick(4*time.Second), n.start)
		})
	}
	if !w.chance(4) {
		w.engineDies()
	}
}

// crossfire cuts an engine from one node and the power of another, whose system is back at once.
func (w *world) crossfire() {
	h, far := w.newest(), w.someNode()
	w.cut(h, far, true, true)
	w.after(w.pick(12*time.Second), func() { w.heal(h, far) })
	for _, n := range w.legNodes() {
		if n != far && w.chance(2) {
			w.later(w.pick(100*time.Millisecond), func() { w.blink(n) })
		}
	}
	if w.chance(3) {
		w.later(w.pick(time.Second), w.engineDies)
	}
}

// blink cuts the power of a node whose system is back at once.
func (w *world) blink(n *node) {
	n.powerCut()
	w.after(w.pick(100*time.Millisecond), n.start)
}

// attachCut attaches the volume anew and cuts the power of nodes while that goes on.
func (w *world) attachCut() {
	w.newest().die()
	h := w.newHost(false)
	if h != nil && w.chance(2) {
		n := w.someNode()
		w.cut(h, n, true, true)
		w.after(w.pick(4*time.Second), func() { w.heal(h, n) })
	}
	for range 1 + w.rng.IntN(3) {
		n := w.someNode()
		d := []time.Duration{200 * time.Millisecond, 3 * time.Second}[w.rng.IntN(2)]
		w.later(w.pick(d), func() { w.blink(n) })
	}
}

// hang lets a disk take requests and not answer for a while.
func (w *world) hang() {
	n := w.someNode()
	n.hung = true
	w.after(w.pick(8*time.Second), n.unhang)
}

// slow makes a disk slow for a while.
func (w *world) slow() {
	n := w.someNode()
	n.slow = w.pick(4 * time.Second)
	w.after(w.pick(8*time.Second), func() { n.slow = 0 })
}

// pauseEngine pauses an engine with its guest, and mostly another host takes over meanwhile.
func (w *world) pauseEngine() {
	h := w.someHost()
	h.pause(w.pick([]time.Duration{time.Second, 10 * time.Second, 3 * time.Minute}[w.rng.IntN(3)]))
	if w.chance(2) {
		w.newHost(false)
	}
}

// takeover attaches the volume elsewhere while its engine runs on.
func (w *world) takeover() {
	old := w.newest()
	h := w.newHost(false)
	if h != nil && w.chance(2) { // the new one cannot reach a node that the old one still reaches
		n := w.someNode()
		w.cut(h, n, true, true)
		w.after(w.pick(8*time.Second), func() { w.heal(h, n) })
	}
	if w.chance(3) {
		w.later(w.pick(5*time.Second), old.die)
	}
}

// engineDies ends the newest engine; its successor takes the next epoch.
func (w *world) engineDies() {
	old := w.newest()
	old.die()
	w.later(w.pick(2*time.Second), func() {
		if w.newest() == old {
			w.successor(old)
		}
	})
}

// successor starts an engine in place of one that ended.
func (w *world) successor(old *host) {
	if w.opts.Broken.Driver&EpochReuse != 0 && old.current() && w.raft.vol().Attach != nil {
		w.startEngine(old.node, old.epoch, old.attach)
		return
	}
	w.newHost(false)
}

// acceptLoss attaches the volume with the operator's word that what was not flushed may be lost.
func (w *world) acceptLoss() {
	if w.newest().serving && !w.newest().over() {
		return
	}
	w.newHost(true)
}

func (w *world) cutRaft() {
	h := w.someHost()
	h.noRaft = true
	w.after(w.pick(8*time.Second), func() { h.noRaft = false })
}

func (w *world) raftDown() {
	w.raft.noone = true
	w.after(w.pick(6*time.Second), w.raft.elect)
}

func (w *world) election() {
	w.raft.noone = true
	w.after(w.pick(2*time.Second), w.raft.elect)
}

// fillUp lets nodes have no room for a while.
func (w *world) fillUp() {
	for _, n := range w.legNodes() {
		if w.chance(2) {
			n.full = true
			w.after(w.pick(time.Second), func() { n.full = false })
		}
	}
}

// spoil lets requests to one disk fail for a while: always the same, so that of each block some leg is well.
func (w *world) spoil() {
	n := w.legNodes()[0]
	n.eio = true
	w.after(w.pick(2*time.Second), func() { n.eio = false })
}

// rot changes some blocks of one leg on its medium.
func (w *world) rot() {
	l := w.legNodes()[0].leg
	if w.set != nil {
		w.rotJournal()
	}
	for range 1 + w.rng.IntN(3) {
		b := w.profile.hot[w.rng.IntN(len(w.profile.hot))]
		if w.set != nil {
			_, b = w.set.place(b)
		}
		if l.disk.cells[b].sum != sumBlank && !l.disk.bad(b) {
			l.disk.cells[b].data[w.rng.IntN(sectors)] ^= 1 << 31
			l.disk.rotten[b], l.disk.decayed = true, true
		}
	}
}

// failFlush lets the next flush of a leg fail, which fails the leg.
func (w *world) failFlush() { w.legNodes()[0].blunt = true }

func (w *world) idle() { w.runFor(w.pick(6 * time.Second)) }

// detach ends the attachment in an orderly way; the volume is attached again later.
func (w *world) detach() {
	h := w.newest()
	if h.over() || h.paused {
		return
	}
	h.run(func() { h.step(detachEvent()) })
	w.runFor(w.pick(3 * time.Second))
	if w.newest() == h {
		w.newHost(false)
	}
}

// replaceLeg has an operator replace a leg by a blank one on a node that has none.
func (w *world) replaceLeg() {
	v := w.raft.vol()
	old := v.Legs[w.rng.IntN(len(v.Legs))]
	w.replace(old.ID)
}

func (w *world) replace(old volume.LegID) {
	for _, n := range append(w.nodes, nil) {
		if n == nil {
			n = w.addNode()
		}
		if n.leg != nil || !n.on {
			continue
		}
		nl := raft.NewLeg{ID: volume.LegID{UUID: w.uuid()}, Node: n.id, Store: n.store}
		if r := w.raft.commit(raft.Command{ReplaceLeg: &raft.ReplaceLeg{Volume: w.raft.volume, Old: old,
			New: nl}}); r.Err != nil {
			return
		}
		nl.Slot = w.raft.vol().Leg(nl.ID).Slot
		w.raft.provision(nl)
		w.raft.must(raft.Command{LegProvisioned: &raft.LegProvisioned{Volume: w.raft.volume, Leg: nl.ID}})
		w.logf("leg %s is to be replaced by %s on %s", old.Short(), nl.ID.Short(), n.name)
		return
	}
}

// addNode takes another machine into the cluster.
func (w *world) addNode() *node {
	n := w.newNode(fmt.Sprintf("n%d", len(w.nodes)+1))
	w.raft.register(n)
	return n
}

// bury lets nodes delete legs that have a tombstone.
func (w *world) bury() {
	for _, n := range w.nodes {
		if n.leg == nil {
			continue
		}
		if _, dead := w.raft.state.Tombs[n.leg.id]; dead && !w.kept(n.leg.id) {
			id := n.leg.id
			n.dropLeg()
			w.raft.must(raft.Command{LegDeleted: &raft.LegDeleted{Leg: id}})
		}
	}
}

func (n *node) dropLeg() {
	l := n.leg
	if l.core != nil {
		l.core.Stop()
		for _, id := range l.sessionIDs() {
			l.sessions[id].closeAtNode(errLost)
		}
	}
	n.life++
	n.leg, n.closing = nil, false
}
