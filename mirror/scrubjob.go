package mirror

import "time"

const (
	// scrubRate is the bytes a second that a scrub looks at when its order names none.
	scrubRate = 64 << 20
	// scrubBusy is how much slower it goes on while the guest has requests of its own.
	scrubBusy = 4
	// scrubRanges is how many ranges of a kind its report names.
	scrubRanges = 16
)

// scrubJob looks at the whole volume, one extent after the other: the legs in sync tell the checksums of
// what their media hold. An extent is looked at under a shared lock, so that no write is under way in it
// and readers go on; where something is amiss it is taken again without readers, and mended.
//
// It stands back while marked regions are reconciled, whose legs differ by right, and while a leg
// joins: redundancy that is missing matters more than an error that may be there, and both read the
// same media.
type scrubJob struct {
	active  bool
	number  uint64 // tells this scrub from earlier ones
	rate    int64
	running bool          // an extent is being looked at
	at      time.Duration // the next one begins then
	counted int64         // what was found below is counted
	report  ScrubReport
}

// onScrub takes an order.
func (c *Core) onScrub(o *ScrubOrder) {
	s := &c.scrub
	same := s.active && s.report.ID == o.ID
	if o.Stop {
		if same {
			c.endScrub(false)
		}
		return
	}
	rate := o.Rate
	if rate <= 0 {
		rate = scrubRate
	}
	c.note(workCopy)
	if same {
		s.rate, s.at = rate, min(s.at, c.now+time.Second)
		return
	}
	c.endScrub(false)
	from := min(max(o.From, 0)/BlockBytes*BlockBytes, c.opts.SizeBytes)
	*s = scrubJob{active: true, number: s.number + 1, rate: rate, running: s.running, counted: from,
		report: ScrubReport{ID: o.ID, From: from, Next: from, StartedAt: c.now}}
}

// pumpScrub begins with the next extent when it is due.
func (c *Core) pumpScrub() {
	s := &c.scrub
	if s.active && c.phase >= phaseDraining {
		c.endScrub(false)
	}
	if !s.active || s.running {
		return
	}
	if c.phase != phaseServing || c.reconcile.set.left > 0 || c.joinBusy() || !c.calm() {
		return // looked at again twice in a ping interval
	}
	if s.report.Next >= c.opts.SizeBytes {
		c.endScrub(true)
		return
	}
	if s.at > c.now {
		c.wake(s.at)
		return
	}
	r, upTo := c.lay.scrubRange(c, s.report.Next)
	pause := time.Duration(float64(upTo-s.report.Next) / float64(s.rate) * float64(time.Second))
	if c.guestOps > 0 {
		pause *= scrubBusy
	}
	s.running, s.at = true, c.now+pause
	for l := c.read; l != 0; l = l.rest() {
		c.scrubLeg(l.first())
	}
	c.startCopy(copyJob{kind: copyScrub, number: s.number, pass: passLook, upTo: upTo}, r, false)
}

// scrubbed goes on after an extent.
func (c *Core) scrubbed(j *copyJob, ok bool) {
	s := &c.scrub
	s.running = false
	if !s.active || j.number != s.number {
		return
	}
	if !ok {
		s.at = max(s.at, c.retryLater())
		return
	}
	s.report.Next = j.upTo
}

// countScrub counts what the comparison of a part found, once.
func (c *Core) countScrub(o *op) {
	s, j := &c.scrub, &o.copy
	if j.part.Off < s.counted {
		return // the extent is looked at again
	}
	s.counted = j.part.End()
	for b, k := range j.buf.blocks {
		for l := k.bad | k.lacks; l != 0; l = l.rest() {
			c.scrubLeg(l.first()).Bad++
			c.leg(l.first()).mend.errors++
		}
		switch {
		case k.right != 0:
		case k.bad == j.need:
			s.report.Unreadable++
		default:
			s.report.DivergedN++
			s.report.Diverged = blockRanges(s.report.Diverged, j.rangeOf(b, 1), scrubRanges)
		}
	}
}

// scrubLeg returns what the scrub found on a leg.
func (c *Core) scrubLeg(i LegIndex) *ScrubbedLeg {
	r := &c.scrub.report
	for n := range r.Legs {
		if r.Legs[n].ID == c.leg(i).info.ID {
			return &r.Legs[n]
		}
	}
	r.Legs = append(r.Legs, ScrubbedLeg{ID: c.leg(i).info.ID})
	return &r.Legs[len(r.Legs)-1]
}

// endScrub ends the scrub under way, if there is one, and tells what it found.
func (c *Core) endScrub(complete bool) {
	s := &c.scrub
	if !s.active {
		return
	}
	s.active = false
	r := s.report
	r.Complete, r.Bytes, r.FinishedAt = complete, r.Next-r.From, c.now
	c.emit(Effect{Kind: EffectScrubbed, Scrub: &r})
}

// mendStatus adds what is known of media to the status.
func (c *Core) mendStatus(s *Status) {
	s.Unreadable = c.unread
	if c.scrub.active {
		s.ScrubID, s.ScrubDone, s.ScrubTotal = c.scrub.report.ID, c.scrub.report.Next, c.opts.SizeBytes
	}
}
