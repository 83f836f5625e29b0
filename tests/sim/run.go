package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Options say what one run is.
type Options struct {
	Seed    uint64
	Profile string    // one of Profiles; empty = the seed's turn
	Layout  string    // one of Layouts; empty = the seed's turn
	Broken  Broken    // safety rules that the run breaks on purpose
	Trace   io.Writer // every step as it happens; zero = none
	Lines   bool      // keep the last lines of the trace for a violation
}

// Result is what one run found.
type Result struct {
	Seed      uint64
	Profile   string
	Layout    string        // of the volume
	Steps     int           // events that happened
	Checks    int           // invariants evaluated
	Requests  int           // of guests, by block
	Time      time.Duration // virtual
	Down      bool          // the volume ended down or frozen, as it has to after what happened
	Media     Media         // what disks of legs of parity did to journals
	Violation *Violation    // nil: none
}

// Media counts what disks did to legs of parity, and what became of it.
type Media struct {
	Rots int // changes of a journal on its medium
	// FailedStart, FailedCommit and FailedRead count what legs met of their journals that was not what was written.
	FailedStart, FailedCommit, FailedRead int
	// Told counts those starts that learned from what was written later that something is missing behind the cut, Open
	// the ends of a process after which no start can find what rotted, as nothing was written behind it.
	Told, Open int
	Back       int // starts that found records again whose marks were gone
	Closed     int // legs that were closed
	Lies       int // power cuts that took what a disk had said was durable
	Silent     int // rows that a disk lost something of without a trace
	Reported   int // rows that a scrub found, as often as it found them
}

// Violation is a broken promise.
type Violation struct {
	Seed    uint64
	Profile string // that the options named, empty if it was the seed's turn
	Layout  string // that the options named
	Step    int
	At      time.Duration
	Rule    string // which promise
	Message string
	Trace   []string
	Kill    *Kill // the case that was run; nil = a seed
}

// Error says it with the command that replays it.
func (v *Violation) Error() string {
	var b strings.Builder
	name := fmt.Sprintf("seed %d", v.Seed)
	if v.Kill != nil {
		name = "kill " + v.Kill.String()
	}
	fmt.Fprintf(&b, "%s, step %d, at %s: %s: %s\n", name, v.Step, v.At, v.Rule, v.Message)
	for _, line := range v.Trace {
		b.WriteString("    " + line + "\n")
	}
	if v.Kill != nil {
		b.WriteString("replay: " + replayKill(v.Kill))
		return b.String()
	}
	fmt.Fprintf(&b, "replay: %s\n    or: %s", ReplayCommand(v.Seed, v.Profile, v.Layout),
		replayTest(v.Seed, v.Profile, v.Layout))
	return b.String()
}

// ReplayCommand is the command that replays a seed, under a profile or a kind of layout that is not the seed's turn if
// one is named.
func ReplayCommand(seed uint64, profile, layout string) string {
	return fmt.Sprintf("holdfast selftest --seed %d%s%s --runs 1 --trace", seed, named(" --profile ", profile),
		named(" --layout ", layout))
}

func replayTest(seed uint64, profile, layout string) string {
	return fmt.Sprintf("go test ./tests/sim -run TestSeeds -sim.seed=%d%s%s -sim.runs=1 -sim.trace", seed,
		named(" -sim.profile=", profile), named(" -sim.layout=", layout))
}

// named is a flag with its value, empty without one.
func named(flag, value string) string {
	if value == "" {
		return ""
	}
	return flag + value
}

// Run runs one seed. It depends on nothing but its options.
func Run(o Options) Result {
	w := &world{opts: o, rng: rand.New(rand.NewPCG(o.Seed, o.Seed^0x9e3779b97f4a7c15)), now: time.Second,
		rotten: map[int64]bool{}, lied: map[int64]bool{}, undecided: map[int64]bool{}}
	w.trace.on = o.Lines
	w.profile = w.newProfile()
	w.setUp()
	if w.violation == nil {
		w.adversity()
	}
	if w.violation == nil && !w.frozen {
		w.recover()
	}
	if w.violation == nil && w.frozen {
		w.runFor(5 * time.Second)
		w.watch.frozenQuietly()
	}
	w.watch.end()
	return Result{Seed: o.Seed, Profile: w.profile.name, Layout: w.profile.layout.String(), Steps: w.steps,
		Checks:   w.watch.checks,
		Requests: w.history.ops, Time: w.now, Down: w.down || w.frozen, Media: w.media,
		Violation: w.violation}
}

// setUp makes the nodes, the volume, and the first attachment, and lets some time pass.
func (w *world) setUp() {
	if w.build(); w.violation != nil {
		return
	}
	for i := range w.profile.away {
		n := w.nodes[i]
		n.crash()
		w.after(time.Second+w.pick(5*time.Second), n.start)
	}
	w.runFor(w.pick(4 * time.Second))
}

// build makes the nodes, the volume, and the first attachment.
func (w *world) build() {
	w.watch.begin(w)
	for i := range w.profile.legs + w.profile.spares {
		w.newNode(fmt.Sprintf("n%d", i+1))
	}
	w.raft = newCoordinators(w)
	if l := w.profile.layout; l.Kind == volume.KindParity {
		set, err := newParitySet(l, w.profile.size)
		if err != nil {
			w.fail("setup", "%v", err)
			return
		}
		w.set = set
	}
	w.raft.create(w.profile.layout, w.profile.size, w.profile.durability, w.profile.loss)
	w.newHost(false)
}

// adversity is the main part of a run: guests at work while things go wrong.
func (w *world) adversity() {
	for range w.profile.acts {
		if w.violation != nil || w.frozen {
			return
		}
		w.fault()
		w.runFor(w.pick(w.profile.gap))
		w.bury()
	}
}

// recover ends all faults and waits until the volume is well: I35.
func (w *world) recover() {
	w.calm = true
	w.logf("all faults end")
	if w.raft.noone {
		w.raft.elect()
	}
	for _, n := range w.nodes {
		n.full, n.eio, n.blunt, n.bluntMeta, n.slow = false, false, false, false, 0
		if n.leg != nil && n.leg.disk.lying {
			n.leg.honest()
		}
		n.resume()
		n.unhang()
		n.start()
	}
	for _, h := range w.hosts {
		h.noRaft = false
		for _, n := range w.nodes {
			w.heal(h, n)
		}
		h.resume()
	}
	h := w.newest()
	for second := range 400 {
		if second == 100 && (w.raft.vol().Phase == volume.PhaseAttaching || w.legGone()) {
			w.newHost(true) // what it waits for has failed for good: the operator accepts the loss
			h = w.newest()
		}
		if h.over() || h.dead {
			w.successor(h)
			h = w.newest()
		}
		w.runFor(time.Second)
		w.bury()
		w.replaceFailed()
		if second%20 == 19 {
			w.overwriteRotten(h)
		}
		if w.violation != nil || w.frozen && w.restored {
			return // a leg that came late knows more than the coordinators which were restored
		}
		if h.guest.pending == 0 && w.well(h) {
			w.finish(h)
			return
		}
	}
	if w.gone() {
		w.down = true
		return
	}
	w.fail("I35", "not well after 400 s: %s", w.describe(h))
}

// overwriteRotten has the guest write blocks anew of which no good copy is left: nothing else mends them.
func (w *world) overwriteRotten(h *host) {
	w.overwriteWhere(h, func(b int64) bool { return !h.over() && w.noGood(b, w.now) })
}

// overwriteWhere has the guest write anew each block for which that is needed, a stripe once.
func (w *world) overwriteWhere(h *host, needed func(b int64) bool) {
	last := int64(-1)
	for b := range w.raft.vol().SizeBytes / blockBytes {
		if !needed(b) {
			continue
		}
		if w.set != nil {
			stripe := w.set.geo.StripeAt(b * blockBytes)
			if stripe == last {
				continue
			}
			last = stripe
		}
		w.overwrite(h, b)
	}
}

// overwrite has the guest write a block anew: of a set of parity its whole stripe, for which nothing has to be read.
func (w *world) overwrite(h *host, b int64) {
	r := block.Range{Off: b * blockBytes, Len: blockBytes}
	if w.set != nil {
		r = w.set.geo.Stripe(w.set.geo.StripeAt(r.Off))
	}
	h.guest.submitPieces(h, &guestRequest{op: block.OpWrite, call: w.now, rng: r})
}

// legGone reports whether the disk of a leg in sync is gone or has failed for good. Nobody knows that it lost
// its cache, so the host that has nothing else but legs which did holds I/O, until the operator decides.
func (w *world) legGone() bool {
	return slices.ContainsFunc(w.raft.vol().InSync, func(id volume.LegID) bool {
		l := w.legOf(id)
		return l == nil || l.failed
	})
}

// gone reports whether so many legs in sync have failed for good that too few are left: then the volume stays down, and
// says so, since nobody may guess. Of a set of parity those do not count either that were set back, and after a restore
// those that never had a configuration while others had one.
func (w *world) gone() bool {
	left := slices.DeleteFunc(slices.Clone(w.raft.vol().InSync), func(id volume.LegID) bool {
		l, known := w.legOf(id), w.raft.vol().Leg(id)
		// Legs of parity that are of different moments make nothing together, whatever an operator accepts.
		return l == nil || l.failed || w.set != nil && known != nil && (known.SetBack || w.restored && w.blank(known))
	})
	return !w.enough(w.raft.vol(), left)
}

// blank reports whether a leg shows that it never had a configuration, and another one that it had one.
func (w *world) blank(l *raft.Leg) bool {
	return l.Shown != nil && l.Shown.CfgVer == 0 && slices.ContainsFunc(w.raft.vol().Legs, func(o *raft.Leg) bool {
		return o.Shown != nil && o.Shown.CfgVer != 0
	})
}

// replaceFailed has the operator replace legs that failed for good.
func (w *world) replaceFailed() {
	for _, l := range w.raft.vol().Legs {
		n := w.legNode(l.ID)
		if (n == nil || n.leg.failed || l.State == volume.LegLost || l.State == volume.LegQuarantined) &&
			w.raft.vol().Replacement(l.ID) == nil && !w.surplus(l) {
			w.replace(l.ID)
		}
	}
}

// surplus reports whether a leg was found after a restore whose place another one has: it is kept, and not used.
func (w *world) surplus(l *raft.Leg) bool {
	return l.GivenUp && slices.ContainsFunc(w.raft.vol().Legs, func(o *raft.Leg) bool {
		return o != l && o.Slot == l.Slot && o.State == volume.LegInSync
	})
}

// well reports whether every leg is in sync and nothing is marked.
func (w *world) well(h *host) bool {
	v := w.raft.vol()
	used := slices.DeleteFunc(slices.Clone(v.Legs), w.surplus)
	more := w.restored && len(v.InSync) > w.profile.legs // both a leg and the one that took its place were in sync
	if v.Phase != volume.PhaseAttached || len(v.InSync) != w.profile.legs && !more || len(used) != len(v.InSync) {
		return false
	}
	for _, l := range used {
		n := w.legNode(l.ID)
		if n == nil || n.leg.marked() {
			return false
		}
	}
	return h.serving && h.core.Status(nil).State == mirror.StateServing
}

func (w *world) describe(h *host) string {
	s := h.core.Status(nil)
	text := fmt.Sprintf("%s: %s %s, %d requests wait", h.name, s.State, s.Reason, h.guest.pending)
	for _, l := range s.Legs {
		text += fmt.Sprintf("; leg %s %s connected %v %s", l.ID.Short(), l.State, l.Connected, l.Error)
	}
	v := w.raft.vol()
	for _, l := range v.Legs {
		if l.Retiring || !l.Replaces.IsZero() {
			text += fmt.Sprintf("; leg %s retiring %v replaces %s", l.ID.Short(), l.Retiring, l.Replaces.Short())
		}
	}
	return text + fmt.Sprintf("; raft %s cfgver %s, %d of %d legs in sync", v.Phase, v.CfgVer,
		len(v.InSync), len(v.Legs))
}

// finish scrubs, reads everything, compares the legs, checks the history and detaches.
func (w *world) finish(h *host) {
	if !w.scrubAll(h) {
		return
	}
	for _, b := range w.history.touched() {
		h.guest.submitPieces(h, &guestRequest{op: block.OpRead, call: w.now,
			rng: block.Range{Off: b * blockBytes, Len: blockBytes}})
	}
	w.runFor(10 * time.Second)
	if h.guest.pending > 0 && w.violation == nil {
		w.fail("I35", "%d reads were not answered: %s", h.guest.pending, w.describe(h))
	}
	w.compare()
	w.checkHistory()
	if w.violation != nil {
		return
	}
	w.runFor(w.lateUntil - w.now) // a login that comes late takes the place of the session
	h.step(detachEvent())
	w.runFor(10 * time.Second)
	if v := w.raft.vol(); w.violation == nil && (!h.detached || !v.Clean) {
		w.fail("I35", "not detached cleanly: %s", w.describe(h))
	}
}

func detachEvent() *mirror.Event { return &mirror.Event{Kind: mirror.EventDetach} }

// compare checks that all legs hold the same, and nothing that was not written.
func (w *world) compare() {
	if w.set != nil {
		w.compareSet()
		w.watch.checks++
		return
	}
	list := slices.DeleteFunc(w.legNodes(), func(n *node) bool { return !w.raft.inSync(n.leg.id) })
	for _, n := range list {
		for b := range n.leg.disk.cells {
			have, want := n.leg.disk.cells[b], list[0].leg.disk.cells[b]
			if have.data != want.data {
				w.fail("compare", "block %d is %v on %s and %v on %s", b, have.data, n.name, want.data,
					list[0].name)
				return
			}
			if n.leg.disk.bad(int64(b)) {
				w.fail("compare", "block %d on %s is not what was written", b, n.name)
				return
			}
		}
	}
	w.watch.checks++
}

func (w *world) checkHistory() {
	if w.violation != nil {
		return
	}
	w.watch.checks += len(w.history.blocks)
	if b, text := w.history.check(w.now, w.rotten); b >= 0 {
		w.fail("I34", "the history of block %d is not that of one disk:%s", b, text)
	}
}
