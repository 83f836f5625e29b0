package sim

import (
	"slices"

	"github.com/holdfast-storage/holdfast/block"
)

// script is the update that is killed: requests in groups, each of which begins when the one before is answered.
type script struct {
	w      *world
	groups [][]*guestRequest
	given  bool            // the present group is on its way to the engine
	asked  []*guestRequest // so far
}

// stripesUsed is how many stripes the update is about.
const stripesUsed = 2

// before fills the stripes of the update, so that nothing old is a zero.
func (w *world) before() *script {
	s := &script{w: w}
	for n := range int64(stripesUsed) {
		s.then(w.stripe(n))
	}
	s.then(flushRequest())
	return s
}

// update is one of everything: a change of a chunk, another one of it before the first is at home beside a whole
// stripe, changes of all chunks of a row at a time, a flush, and a change that is not flushed.
func (w *world) update() *script {
	s := &script{w: w}
	s.then(w.chunk(0, 0))
	s.then(w.chunk(0, 0), w.stripe(1))
	var row []*guestRequest
	for c := range int64(w.set.layout.Data) {
		row = append(row, w.chunk(0, c))
	}
	s.then(row...)
	s.then(flushRequest())
	s.then(w.chunk(1, 1))
	return s
}

func (s *script) then(group ...*guestRequest) { s.groups = append(s.groups, group) }

func flushRequest() *guestRequest { return &guestRequest{op: block.OpFlush} }

func (w *world) stripe(n int64) *guestRequest {
	return &guestRequest{op: block.OpWrite, rng: w.set.geo.Stripe(n)}
}

// chunk writes the first block of a chunk of a stripe.
func (w *world) chunk(stripe, chunk int64) *guestRequest {
	off := w.set.geo.Stripe(stripe).Off + chunk*w.set.layout.Chunk
	return &guestRequest{op: block.OpWrite, rng: block.Range{Off: off, Len: blockBytes}}
}

// pump has a host that is ready begin the next group. It reports whether all of the script was answered.
func (s *script) pump(h *host) bool {
	if h.over() || s.given || h.guest.pending > 0 {
		return false
	}
	if len(s.groups) == 0 {
		return true
	}
	group := s.groups[0]
	s.groups, s.given = s.groups[1:], true
	s.w.after(0, func() {
		s.given = false
		for _, r := range group {
			if !h.over() {
				s.asked = append(s.asked, r)
				s.w.submitKnown(h, r)
			}
		}
	})
	return false
}

// submitKnown submits a request whose value is a bit of its own: no mix of values by a code of parity 1 is one that was
// written.
func (w *world) submitKnown(h *host, r *guestRequest) {
	if r.op == block.OpWrite {
		w.history.values = 1<<w.written - 1
		w.written++
	}
	r.call = w.now
	h.guest.submit(h, r)
}

// fulfilled holds requests of a host that lives to having been carried out: no error is excused.
func (w *world) fulfilled(list []*guestRequest) bool {
	for _, r := range list {
		ok := r.done && !slices.ContainsFunc(r.refs, func(ref opRef) bool { return !w.history.at(ref).done })
		if r.op == block.OpFlush {
			ok = w.history.flushes[r.flush].done
		}
		w.watch.hold(ok, "guest error", "%s of %v was not carried out", r.op, r.rng)
	}
	return w.violation == nil
}
