package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
)

// node is one storage node with one store: a process that may die, an operating system that may
// restart, a disk that may fail in every way, and one leg with a real leg.Core.
type node struct {
	w     *world
	id    volume.NodeID
	name  string
	store volume.StoreID
	boot  volume.UUID

	on    bool // its process runs
	life  int  // counts its processes: what one has begun ends with it
	hung  bool // the disk takes requests and does not answer
	stuck []func()
	slow  time.Duration // what the disk takes more than usual
	full  bool
	eio   bool // some requests fail
	blunt bool // the next flush fails

	bluntMeta bool // the next write of a label or regions fails
	paused    bool
	closing   bool     // its process is coming to an orderly end
	backlog   []func() // what waits for the process to go on

	leg *storedLeg // nil: none, or it is gone
}

// storedLeg is a leg on its node: what is durable, and the process that serves it.
type storedLeg struct {
	n        *node
	id       volume.LegID
	core     *leg.Core
	disk     *disk
	journal  *legJournal // of a leg of parity
	durable  durableLeg
	failed   bool // recorded: it stays failed over restarts
	sessions map[leg.SessionID]*session
	lastOp   leg.OpID
	waiters  map[leg.OpID]func(leg.Effect)
	told     map[int64]content      // what the newest answered change of each block stored, as its engine heard it
	excused  bool                   // it was set back or lies: what it holds is no proof of anything
	silent   map[int64]bool         // rows of a set that its disk lost without a trace, and that are to be copied
	unread   map[int64]volume.Epoch // the newest epoch in which the disk failed to read a block
	// rolledBack: its newest label rotted, and no newer one was written since it started with the other.
	excusedIn  volume.Epoch // in which it was set back
	rolledBack bool
	fenced     volume.Epoch  // of the newest durable label
	answered   volume.Epoch  // of the newest login that was answered
	lostAt     time.Duration // when a power cut took what it had not flushed; zero = none did since it was whole
}

func (w *world) newNode(name string) *node {
	n := &node{w: w, name: name, id: volume.NodeID{UUID: w.uuid()}, store: volume.StoreID{UUID: w.uuid()},
		boot: w.uuid(), on: true}
	w.nodes = append(w.nodes, n)
	return n
}

func (w *world) nodeOf(id volume.NodeID) *node {
	for _, n := range w.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

// legNode returns the node that has a leg.
func (w *world) legNode(id volume.LegID) *node {
	for _, n := range w.nodes {
		if n.leg != nil && n.leg.id == id {
			return n
		}
	}
	return nil
}

// disk runs f when the disk has done a request that takes about d, unless the process died meanwhile.
func (n *node) disk(d time.Duration, f func()) {
	life := n.life
	run := func() {
		if n.life == life && n.on {
			f()
		}
	}
	n.w.after(d+n.slow, func() {
		if n.hung {
			n.stuck = append(n.stuck, run)
			return
		}
		n.when(run)
	})
}

// unhang lets the disk answer again.
func (n *node) unhang() {
	if !n.hung {
		return
	}
	n.hung = false
	stuck := n.stuck
	n.stuck = nil
	for _, f := range stuck {
		n.w.after(n.w.latency(), func() { n.when(f) })
	}
}

// crash ends the process. What it wrote is in the page cache; a write under way may be there in part.
func (n *node) crash() {
	if n.end(); n.leg != nil && n.leg.journal != nil && n.leg.journal.file.decays() {
		n.leg.miss(n.leg.journal.file.healthy(), nil)
	}
}

// end ends the process, which is the first part of something worse.
func (n *node) end() {
	if !n.on {
		return
	}
	n.w.logf("%s: the process dies", n.name)
	n.on, n.closing, n.stuck, n.paused, n.backlog = false, false, nil, false, nil
	n.life++
	if l := n.leg; l != nil {
		for _, id := range l.sessionIDs() {
			l.sessions[id].closeAtNode(errLost)
		}
		l.sessions, l.waiters, l.core = nil, nil, nil
		if l.journal != nil {
			l.journal.died()
		}
	}
}

// start starts the process anew.
func (n *node) start() {
	if n.on {
		return
	}
	n.on = true
	n.life++
	n.w.logf("%s: the process starts", n.name)
	if n.leg != nil {
		n.leg.open()
	}
}

// powerCut ends the operating system: of what was not flushed the medium keeps what it happens to have.
func (n *node) powerCut() {
	n.end()
	n.w.logf("%s: the power is cut", n.name)
	n.hung, n.blunt, n.bluntMeta = false, false, false
	n.boot = n.w.uuid()
	n.w.history.cuts++
	if n.leg != nil {
		n.leg.powerCut()
		n.leg.lost()
	}
}

// powerCut leaves of a leg what its media happen to hold.
func (l *storedLeg) powerCut() {
	w, j := l.n.w, l.journal
	l.durable.interrupted(w, true)
	lost := l.disk.powerCut(w, l.excused)
	if j == nil {
		for _, b := range lost {
			w.lied[b], w.rotten[b] = true, true
		}
		return
	}
	if l.disk.lying && (j.file.lied() || len(lost) > 0) {
		w.media.Lies++
	}
	honest := j.file.powerCut(w)
	j.rest = nil
	if l.disk.lying || honest.decays() {
		l.miss(honest.healthy(), lost)
	}
}

// login is a login that reached the node.
func (n *node) login(c *session, id volume.LegID, l leg.Login, reply func(volume.LegReport, error)) {
	refuse := func(err error) {
		reply(volume.LegReport{}, err)
		c.atNode = false
	}
	if !n.on || n.closing {
		return // nobody answers
	}
	sl := n.leg
	if sl == nil || sl.id != id {
		refuse(fmt.Errorf("no such leg here: %w", block.ErrFailed))
		return
	}
	sl.wait(func(op leg.OpID) {
		if c.id = sl.core.Login(op, l); c.id != 0 {
			sl.sessions[c.id] = c
		}
	}, func(e leg.Effect) {
		if n.closing {
			delete(sl.sessions, c.id)
			c.closeAtNode(errLost)
			return
		}
		n.w.watch.loginAnswered(sl, l.Epoch, e.Err)
		if e.Err != nil {
			delete(sl.sessions, c.id)
			if !errors.Is(e.Err, block.ErrFenced) {
				e.Err = fmt.Errorf("login refused: %w: %w", block.ErrFailed, e.Err)
			}
			refuse(e.Err)
			return
		}
		report, err := sl.core.ReportTo(c.id)
		if err != nil {
			refuse(fmt.Errorf("%w: %w", errLost, err))
			return
		}
		reply(report, nil)
	})
}

// sessionLost says that the network told the node of a session's end.
func (n *node) sessionLost(s *session) {
	if !s.atNode {
		return
	}
	s.atNode = false
	if l := n.leg; l != nil && l.core != nil && l.sessions[s.id] == s {
		delete(l.sessions, s.id)
		l.core.SessionClosed(s.id)
		l.do()
	}
}

// serve takes a request that reached the node on a session which is open there.
func (n *node) serve(s *session, r *request) {
	l := n.leg
	if !n.on || l == nil || l.core == nil || l.sessions[s.id] != s {
		return
	}
	switch r.x.Kind {
	case mirror.EffectPing:
		s.answer(r, answer{})
	case mirror.EffectSubmit:
		l.newTask(s, r).enter()
	case mirror.EffectCall:
		l.command(s, r)
	}
}
