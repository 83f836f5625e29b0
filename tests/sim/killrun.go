package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
)

// KillOptions say how a case is run.
type KillOptions struct {
	Broken  Broken    // safety rules that the run breaks on purpose
	Outcome bool      // only what a guest, a scrub or the end of the run shows counts, and no look into the legs before
	Trace   io.Writer // every step as it happens; zero = none
	Lines   bool      // keep the last lines of the trace for a violation
}

// KillResult is what came of one case.
type KillResult struct {
	Events   int // of the update, up to the kill or to its end
	Recovery int // events from the kill until the set was served again
	Return   int // events from the kill until all legs were in sync again
	Steps    int // events of the whole run
	Checks   int // invariants evaluated
	// Violation is nil if nothing went wrong.
	Violation *Violation
}

// endless is an event that no update gets to: its run is that of an update which nobody kills.
const endless = 1 << 30

// The longest that things may take, in virtual time, before they count as stuck. A takeover without a leg waits for
// older reads, and for the leg.
const (
	killPatience = 60 * time.Second
	killHealing  = 5 * time.Minute
)

// RunKill runs one case. It depends on nothing but its arguments.
func RunKill(k Kill, o KillOptions) KillResult {
	w := &world{opts: Options{Seed: k.Schedule, Broken: o.Broken, Trace: o.Trace, Lines: o.Lines},
		rng: rand.New(rand.NewPCG(k.Schedule, 0x6b696c6c)), now: time.Second, calm: true, steady: true,
		rotten: map[int64]bool{}, lied: map[int64]bool{}, undecided: map[int64]bool{}}
	w.trace.on = o.Lines
	w.profile = killProfile(k)
	if o.Outcome {
		w.ignored = insights()
	}
	run := killRun{w: w, k: k}
	run.whole()
	r := run.result
	r.Steps, r.Checks, r.Violation = w.steps, w.watch.checks, w.violation
	if r.Violation != nil {
		r.Violation.Kill = &k
	}
	return r
}

// killProfile is a set that is as small as sets are, and whose engine does soon what it does at all.
func killProfile(k Kill) profile {
	l := volume.Parity(k.Data, k.Extra)
	l.Chunk = 2 * blockBytes
	busy := 200 * time.Millisecond // home is written beside the update
	if k.Schedule%2 == 0 {
		busy = 5 * time.Second // and here when it has ended
	}
	return profile{name: "kill", layout: l, legs: l.Legs(), durability: k.Durability, loss: volume.LossWait,
		size: int64(k.Data) * 4 * l.Chunk, think: time.Millisecond,
		timing: mirror.Timing{CopyBytes: 64 << 10, CopyDepth: 1, StableIdle: 20 * time.Millisecond,
			StableBusy: busy, JoinBackOff: 20 * time.Millisecond, FenceWait: 200 * time.Millisecond,
			LegLost: 300 * time.Millisecond, Retry: 50 * time.Millisecond}}
}

// insights are the promises whose check looks into legs while they are at work: which of them is broken may show
// before any harm is done.
func insights() []string {
	return []string{"I2", "I3", "I4", "I5", "I8", "I11", "I13", "I14", "I15", "I16", "I17", "flush", "floor",
		"watermark", "evidence", "rule 9", "B.4", "C.3", "C.4"}
}

// killRun is one case under way.
type killRun struct {
	w        *world
	k        Kill
	result   KillResult
	away     []*node // legs that were hit and are not back
	killedAt int     // steps of the world; zero = nobody was killed yet
	twice    bool    // the host that took over was killed as well
	restart  bool    // that was just now
}

// whole is a run from the first attachment to the end.
func (r *killRun) whole() {
	w := r.w
	if w.build(); w.violation != nil {
		return
	}
	after := []func() bool{r.served, r.read, r.change, r.healed, r.scrubbed, r.read, r.compared, r.detached}
	ok := r.ready() && r.update()
	for i := 0; ok && i < len(after); i++ {
		if ok = after[i](); r.restart {
			ok, i, r.restart = true, -1, false
		}
	}
	w.watch.end()
}

// until runs what happens until cond holds. It is false if that does not come within a time, if something goes wrong,
// or if the host that took over is killed.
func (r *killRun) until(limit time.Duration, what string, cond func() bool) bool {
	w := r.w
	for end := w.now + limit; w.violation == nil && !cond(); w.next() {
		if len(w.queue) == 0 || w.queue[0].at > end {
			w.fail(wellAgain, "not %s after %s: %s", what, limit, w.describe(w.newest()))
			break
		}
		if r.k.Again > 0 && r.k.Host && r.killedAt > 0 && w.steps-r.killedAt == r.k.Again && !r.twice {
			r.strikeAgain()
			return false
		}
	}
	return w.violation == nil
}

// ready fills the stripes of the update and lets the set come to rest.
func (r *killRun) ready() bool {
	h, s := r.w.newest(), r.w.before()
	return r.until(killPatience, "served", func() bool { return h.serving }) &&
		r.until(killPatience, "ready", func() bool { return s.pump(h) && r.atRest(h) })
}

// atRest reports whether everything is at home, and nothing is marked.
func (r *killRun) atRest(h *host) bool {
	return r.w.well(h) && !slices.ContainsFunc(r.w.inSyncLegs(), func(l *storedLeg) bool {
		list, _, _ := l.journal.now().Records(0, 1)
		return len(list) > 0
	})
}

// update runs the script, up to the kill or to its end.
func (r *killRun) update() bool {
	w, h, s := r.w, r.w.newest(), r.w.update()
	first := w.steps
	ok := r.until(killPatience, "done with the update", func() bool {
		r.result.Events = w.steps - first
		return r.result.Events == r.k.Event || s.pump(h) && r.atRest(h)
	})
	if !ok || r.result.Events != r.k.Event {
		return ok
	}
	r.strike(h)
	if r.k.Host {
		return w.violation == nil
	}
	return r.until(killPatience, "answered", func() bool { return s.pump(h) }) && w.fulfilled(s.asked)
}

// strike kills who is to be killed, and has the next host begin.
func (r *killRun) strike(h *host) {
	w := r.w
	r.killedAt = w.steps
	for i, slot := range r.k.Legs {
		n := w.slotNode(slot)
		n.hit(r.k.Left.on(i == 0))
		if r.k.Back != BackAtOnce {
			r.away = append(r.away, n)
			continue
		}
		w.after(w.latency(), n.start)
	}
	if r.k.Host {
		r.takeOver(h)
	}
}

// strikeAgain kills the host that took over, and cuts the power of all legs if the case says so.
func (r *killRun) strikeAgain() {
	w := r.w
	r.twice, r.restart = true, true
	if r.k.Then != "" {
		r.away = nil
		for i, n := range w.nodes {
			n.hit(r.k.Then.on(i == 0))
			w.after(w.latency(), n.start)
		}
	}
	r.takeOver(w.newest())
}

// takeOver ends a host and has another one attach.
func (r *killRun) takeOver(h *host) {
	if !r.k.Sent {
		h.noRaft = true
		for _, n := range r.w.nodes {
			l := h.link(n)
			l.cutTo, l.cutFrom = true, true
		}
	}
	h.die()
	r.w.newHost(false)
}

// slotNode returns the node whose leg has a slot.
func (w *world) slotNode(slot int) *node {
	return w.nodes[slices.IndexFunc(w.nodes, func(n *node) bool { return n.leg.slotOf() == slot })]
}

// served waits until the set is served by whoever has it then.
func (r *killRun) served() bool {
	w := r.w
	ok := r.until(killPatience, "served again", func() bool { return w.newest().serving && r.withoutAway() })
	if r.k.Host && !r.twice {
		r.result.Recovery = w.steps - r.killedAt
	}
	mayLose := r.k.Durability == volume.DurabilityFlush && (r.k.whole() || r.twice && r.k.Then != "")
	if len(w.history.losses) > 0 && !mayLose {
		w.fail("loss", "a loss was declared, and no more than %d legs were hit", len(r.k.Legs))
	}
	if ok && r.k.Back == BackAfter {
		r.bringBack()
	}
	return ok
}

// withoutAway reports whether legs that are away have left.
func (r *killRun) withoutAway() bool {
	return !slices.ContainsFunc(r.away, func(n *node) bool { return r.w.raft.inSync(n.leg.id) })
}

func (r *killRun) bringBack() {
	for _, n := range r.away {
		n.start()
	}
	r.away = nil
}

// read reads everything that the update touched, block by block, and holds each to being one of what was written.
func (r *killRun) read() bool {
	w, h := r.w, r.w.newest()
	var list []*guestRequest
	for _, b := range w.history.touched() {
		q := &guestRequest{op: block.OpRead, call: w.now, rng: block.Range{Off: b * blockBytes, Len: blockBytes}}
		list = append(list, q)
		h.guest.submit(h, q)
	}
	if !r.until(killPatience, "read", func() bool { return h.guest.pending == 0 }) || !w.fulfilled(list) {
		return false
	}
	for _, q := range list {
		got := w.history.at(q.refs[0]).got
		for _, v := range got {
			w.watch.hold(v == got[0], "whole block", "block %d is a mix: %v", q.refs[0].block, got)
		}
	}
	w.checkHistory()
	return w.violation == nil
}

// change writes to each stripe as the set is now: what parity is changed by has to fit what is there.
func (r *killRun) change() bool {
	w, h := r.w, r.w.newest()
	var list []*guestRequest
	for n := range int64(stripesUsed) {
		q := w.chunk(n, n%int64(w.set.layout.Data))
		list = append(list, q)
		w.submitKnown(h, q)
	}
	return r.until(killPatience, "written", func() bool { return h.guest.pending == 0 }) && w.fulfilled(list)
}

// healed brings back who is still away and waits until all legs are in sync.
func (r *killRun) healed() bool {
	r.bringBack()
	ok := r.until(killHealing, "well", func() bool { return r.atRest(r.w.newest()) })
	if r.k.Host && !r.twice {
		r.result.Return = r.w.steps - r.killedAt
	}
	return ok
}

// scrubbed has the whole volume compared: nothing is found, which the observer checks.
func (r *killRun) scrubbed() bool {
	w, h := r.w, r.w.newest()
	w.scrubs++
	h.step(&mirror.Event{Kind: mirror.EventScrub, Scrub: &mirror.ScrubOrder{ID: w.scrubs, Rate: 1 << 30}})
	return r.until(killPatience, "scrubbed", func() bool {
		return slices.ContainsFunc(h.scrubs, func(s *mirror.ScrubReport) bool { return s.ID == w.scrubs && s.Complete })
	})
}

// compared compares the rows of all legs.
func (r *killRun) compared() bool {
	r.w.compare()
	return r.w.violation == nil
}

// detached ends the attachment in an orderly way.
func (r *killRun) detached() bool {
	h := r.w.newest()
	h.step(detachEvent())
	return r.until(killPatience, "detached", func() bool { return h.detached && r.w.raft.vol().Clean })
}

// replayKill is the command that replays a case.
func replayKill(k *Kill) string {
	return fmt.Sprintf("go test ./tests/sim -run TestKills_one -sim.kill=%s -sim.trace -v", k)
}
