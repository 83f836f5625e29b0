package host

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// core decides what the host does next. It is pure: it is told what is wanted and what was seen, and
// step returns the actions that are due. It starts nothing, waits for nothing and reads no clock.
//
// Invariant: at most one action of one object is under way (its job is not idle).
type core struct {
	runDir   string
	latest   peer.Assignment // the newest one, without its orders
	assigned bool            // an assignment has come: before, nothing may be taken for unwanted
	volumes  map[volume.ID]*volumeView
	domains  map[string]*domainView
	images   Images            // of which only Blob is asked here
	clones   []peer.CloneOrder // of the newest assignment
	due      []action
}

// volumeView is what the host knows of one volume.
type volumeView struct {
	id        volume.ID
	name      string
	want      *peer.Ticket       // the host's current grant, nil when it has none
	engine    *peer.EngineStatus // the engine that runs, nil when none does
	spent     volume.AttachID    // the latest attachment that an engine was started for
	job       job
	retry     retry
	strayStop bool // a copy that nobody wants is being ended
	// soundAt is when the running engine, if it goes on serving, counts as sound.
	soundAt time.Duration
}

// domainView is what the host knows of one domain.
type domainView struct {
	name     string
	want     *peer.DomainOrder
	receive  *peer.ReceiveOrder            // a guest to take in, nil when there is none
	guest    *guest                        // the latest run, nil when none is remembered
	guarded  map[volume.ID]volume.AttachID // by which engines it would be killed
	agent    string                        // whether that of the guest answers, empty if it has none or was not asked
	failure  string                        // why the latest attempt to start it failed
	starting *domain.Order                 // what is being started or plugged in, while job says so
	job      job
	retry    retry
}

// guest is one run of a domain, as last seen.
type guest struct {
	order domain.Order
	pid   int
	start uint64
	state domain.State
	// settled says, of a guest that ended by itself, that its engines were asked afterwards and
	// still served it: then it was its own end, else it was killed with its disk.
	settled bool
}

func (g *guest) running() bool { return g != nil && !g.state.Phase.Ended() }

func (g *guest) receiving() bool { return g != nil && g.state.Phase == domain.PhaseReceiving }

// job is the action under way for an object.
type job string

const idle job = ""

// retry spaces out attempts that fail: the first repetition is immediate.
type retry struct {
	failures int
	at       time.Duration // not before; on the caller's clock
}

// The pauses between failed attempts, and how long an engine must serve until it counts as sound.
const (
	retryFirst = 200 * time.Millisecond
	retryMax   = 10 * time.Second
	soundAfter = 3 * time.Second
)

func (r *retry) failed(now time.Duration) {
	r.at = now
	if r.failures > 0 {
		r.at += min(retryMax, retryFirst<<min(r.failures-1, 10))
	}
	r.failures++
}

func newCore(runDir string, spent map[volume.ID]volume.AttachID) *core {
	c := &core{
		runDir:  runDir,
		volumes: make(map[volume.ID]*volumeView),
		domains: make(map[string]*domainView),
		images:  noImages{},
	}
	for id, attach := range spent {
		c.volumes[id] = &volumeView{id: id, spent: attach}
	}
	return c
}

// assign takes in what the coordinators want. It ignores what is older than what it knows, and the
// answer to a node that is not registered, which says nothing about its volumes.
func (c *core) assign(a peer.Assignment) {
	if !a.Registered || c.assigned && a.Older(&c.latest) {
		return
	}
	c.assigned, c.latest = true, peer.Assignment{Lineage: a.Lineage, Revision: a.Revision}
	c.clones = a.Clones
	for _, v := range c.volumes {
		v.want = nil
	}
	for i := range a.Attach {
		ticket := &a.Attach[i]
		v := c.volume(ticket.Volume)
		v.want, v.name = ticket, ticket.Name
	}
	for _, d := range c.domains {
		d.want, d.receive = nil, nil
	}
	for i := range a.Receive {
		order := &a.Receive[i]
		c.domain(order.Name).receive = order
	}
	for i := range a.Domains {
		order := &a.Domains[i]
		d := c.domain(order.Name)
		if d.guest != nil && d.guest.order.Run != order.Run {
			d.retry, d.failure = retry{}, ""
		}
		d.want = order
	}
	for _, d := range c.domains {
		if d.want == nil {
			d.failure = ""
		}
	}
}

func (c *core) volume(id volume.ID) *volumeView {
	v := c.volumes[id]
	if v == nil {
		v = &volumeView{id: id}
		c.volumes[id] = v
	}
	return v
}

func (c *core) domain(name string) *domainView {
	d := c.domains[name]
	if d == nil {
		d = &domainView{name: name, guarded: make(map[volume.ID]volume.AttachID)}
		c.domains[name] = d
	}
	return d
}

// engineSeen takes in the state of a running engine.
func (c *core) engineSeen(name string, s peer.EngineStatus, now time.Duration) {
	v := c.volume(s.Volume)
	serves := s.State == peer.EngineServing || s.State == peer.EngineHeld
	switch {
	case v.engine == nil || v.engine.AttachID != s.AttachID || !serves:
		v.soundAt = now + soundAfter
	case now >= v.soundAt:
		v.retry = retry{}
	}
	v.name, v.engine, v.spent = name, &s, s.AttachID
}

// engineGone takes in that an engine's process has ended.
func (c *core) engineGone(id volume.ID, a volume.AttachID, now time.Duration) {
	if v := c.volume(id); v.engine != nil && v.engine.AttachID == a {
		v.engine = nil
		if v.job != stopEngine {
			v.retry.failed(now)
		}
	}
}

// volumeDone takes in the end of a volume's action.
func (c *core) volumeDone(id volume.ID, now time.Duration, err error) {
	v := c.volume(id)
	v.job = idle
	if err != nil {
		v.retry.failed(now)
	}
}

// guestSeen takes in the latest run of a domain.
func (c *core) guestSeen(g guest) {
	d := c.domain(g.order.Name)
	if d.guest == nil || d.guest.order.Run != g.order.Run || d.guest.pid != g.pid {
		clear(d.guarded)
		d.agent = ""
	}
	d.guest = &g
}

// guestGuarded takes in that an engine will kill the guest when its grant is lost.
func (c *core) guestGuarded(name string, id volume.ID, a volume.AttachID) {
	if d := c.domains[name]; d != nil {
		d.guarded[id] = a
	}
}

// guestSettled takes in that the engines of a guest that ended by itself were asked since.
func (c *core) guestSettled(name string, run uint64) {
	d := c.domains[name]
	if d == nil || d.guest == nil || d.guest.order.Run != run {
		return
	}
	for _, v := range d.guest.order.Volumes {
		if !c.servesStill(v) {
			d.guest.state = domain.State{Phase: domain.PhaseKilled, Cause: "its volume was lost"}
			return
		}
	}
	d.guest.settled = true
}

// guestForgotten takes in that nothing of an ended guest is remembered any more.
func (c *core) guestForgotten(name string) {
	if d := c.domains[name]; d != nil && !d.guest.running() {
		d.guest = nil
	}
}

// domainDone takes in the end of a domain's action.
func (c *core) domainDone(name string, now time.Duration, err error) {
	d := c.domain(name)
	d.job, d.failure = idle, ""
	if err != nil {
		d.failure = err.Error()
		d.retry.failed(now)
		return
	}
	d.retry = retry{}
}

// step returns the actions that are due now, and how long nothing will be due unless something
// happens (zero: no time is known).
func (c *core) step(now time.Duration) ([]action, time.Duration) {
	c.due = nil
	if !c.assigned {
		c.stepUnassigned(now)
		return c.due, c.nextRetry(now)
	}
	for _, name := range slices.Sorted(maps.Keys(c.domains)) {
		c.stepDomain(c.domains[name], now)
	}
	for _, v := range c.sortedVolumes() {
		c.stepVolume(v, now)
	}
	return c.due, c.nextRetry(now)
}

// nextRetry returns the time to the next attempt that was put off.
func (c *core) nextRetry(now time.Duration) time.Duration {
	wait := time.Duration(0)
	consider := func(r retry, j job) {
		if left := r.at - now; j == idle && left > 0 && (wait == 0 || left < wait) {
			wait = left
		}
	}
	for _, v := range c.volumes {
		consider(v.retry, v.job)
	}
	for _, d := range c.domains {
		consider(d.retry, d.job)
	}
	return wait
}

func (c *core) sortedVolumes() []*volumeView {
	return slices.SortedFunc(maps.Values(c.volumes), func(a, b *volumeView) int {
		return cmp.Or(cmp.Compare(a.name, b.name), bytes.Compare(a.id.UUID[:], b.id.UUID[:]))
	})
}
