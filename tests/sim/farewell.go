package sim

import (
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// farewell is an engine's question for the removal of a leg, with the legs that it could count on when it asked. The
// question may be answered late, twice or never; it is when it is committed that it does good or harm.
type farewell struct {
	host string
	leg  volume.LegID
	good []volume.LegID // not known to have lost their cache, nor without power for longer than an engine overlooks
}

// overlooked is for how long an engine may not know of a power cut: it counts on a leg that answered within T_read.
const overlooked = 3 * time.Second

// removing notes whom an engine can count on that asks for the removal of a leg.
func (o *observer) removing(h *host, leg volume.LegID) farewell {
	f := farewell{host: h.name, leg: leg}
	for _, s := range h.slots {
		if s == nil || s.id == leg || s.lossy {
			continue
		}
		l := o.w.legOf(s.id)
		if l == nil || l.lostAt == 0 || o.w.now-l.lostAt < overlooked {
			f.good = append(f.good, s.id)
		}
	}
	return f
}

// removed is the rule of protocol-flush C.3: an engine never removes the last leg that it does not know to have lost
// its cache. It is held when the removal is committed, of what the list is then.
func (o *observer) removed(f farewell, before, after []volume.LegID) {
	if len(after) == len(before) {
		return
	}
	kept := slices.DeleteFunc(slices.Clone(after), func(id volume.LegID) bool { return !slices.Contains(f.good, id) })
	o.hold(o.w.enough(o.w.raft.vol(), kept), "C.3", "%s removed leg %s; of those in sync, %s, it could count on %s",
		f.host, f.leg.Short(), shorts(after), shorts(kept))
}

// lost notes that a power cut took what the leg had not flushed. It is as good as before when it has joined anew, or
// when Activate has declared the loss; as long as it has not been opened since, there is no more to lose.
func (l *storedLeg) lost() {
	w := l.n.w
	if !l.lossy() || l.lostAt != 0 {
		return
	}
	if l.unopened() {
		return
	}
	l.lostAt = w.now
}

// unopened reports whether Activate declared that the leg lost its cache, and it has had no CONFIG since, or its
// engine does not know that it had.
func (l *storedLeg) unopened() bool {
	w := l.n.w
	for _, s := range w.newest().slots {
		if s != nil && s.id == l.id && s.declared {
			return true
		}
	}
	v := w.raft.vol()
	return v.Phase == volume.PhaseAttached && slices.Contains(v.Attach.Lossy, l.id) &&
		l.durable.label.Config.CfgVer < v.CfgVer
}
