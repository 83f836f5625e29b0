package raft

import "github.com/holdfast-storage/holdfast/volume"

// requestScrub wants a scrub, once.
func (t *txn) requestScrub(c *RequestScrub) *Refusal {
	v, r := t.volume(c.Volume)
	if r != nil {
		return r
	}
	switch {
	case c.Request.IsZero() || c.By != ScrubByOperator && c.By != ScrubBySchedule:
		return invalid("scrub of volume %s: the request has no id or nobody asks for it", v.Name)
	case c.Rate < 0:
		return invalid("scrub of volume %s: the rate is %d bytes a second", v.Name, c.Rate)
	case c.Epoch != 0 && c.Epoch != v.Epoch:
		return refuse(CodeRetry, "volume %s is at epoch %s, not %s: look again", v.Name, v.Epoch, c.Epoch)
	}
	for _, over := range []*ScrubResult{v.LastScrub, v.StoppedScrub} {
		if over != nil && over.Request == c.Request {
			t.answerScrub(v, over.ID)
			return nil
		}
	}
	switch {
	case v.Phase != volume.PhaseAttached && v.Phase != volume.PhaseAttaching, v.Attach.Maintenance:
		return refuse(CodeBusy, "volume %s is not attached: its legs are scrubbed by the engine that serves it; "+
			"attach it first", v.Name)
	case v.Scrub == nil:
		v = t.edit(v)
		v.Scrubs++
		v.Scrub = &Scrub{ID: v.Scrubs, Request: c.Request, By: c.By, At: t.at, Rate: c.Rate}
		t.event(SeverityInfo, "volume/"+v.Name, "scrub_started", "volume %s is scrubbed, by the %s", v.Name, c.By)
	case c.Rate != 0 && c.Rate != v.Scrub.Rate:
		v = t.edit(v)
		v.Scrub.Rate = c.Rate
	}
	t.answerScrub(v, v.Scrub.ID)
	return nil
}

func (t *txn) answerScrub(v *Volume, id uint64) {
	t.answer(v)
	t.result.Scrub = id
}

// stopScrub gives a scrub up.
func (t *txn) stopScrub(c *StopScrub) *Refusal {
	v, r := t.volume(c.Volume)
	if r != nil {
		return r
	}
	if v.Scrub == nil {
		t.answer(v)
		return nil
	}
	v = t.edit(v)
	v.StoppedScrub = &ScrubResult{Scrub: *v.Scrub, FinishedAt: t.at, Bytes: v.Scrub.From}
	v.Scrub = nil
	t.event(SeverityInfo, "volume/"+v.Name, "scrub_stopped", "the scrub of volume %s was stopped", v.Name)
	t.answerScrub(v, v.StoppedScrub.ID)
	return nil
}

// reportScrub adds what an engine found. It may come from an engine that has just detached. A report
// that ends where the last one did, or before, is a duplicate. One that begins after it leaves out a part
// that nobody is known to have looked at.
func (t *txn) reportScrub(c *ReportScrub) *Refusal {
	v, r := t.volume(c.Volume)
	if r != nil {
		return r
	}
	switch {
	case c.Epoch < v.Epoch:
		return refuse(CodeFenced, "epoch %s of volume %s is superseded by epoch %s", c.Epoch, v.Name, v.Epoch)
	case c.Epoch > v.Epoch:
		return invalid("epoch %s of volume %s was never granted: it is at %s", c.Epoch, v.Name, v.Epoch)
	case c.From < 0 || c.Next < c.From || c.Next > v.SizeBytes || c.Complete && c.Next != v.SizeBytes:
		return invalid("scrub of volume %s: [%d,%d) is no part of its %d bytes", v.Name, c.From, c.Next, v.SizeBytes)
	}
	running, over := v.ScrubOf(c.ID)
	switch {
	case running == nil && over == nil:
		return refuse(CodeStale, "volume %s has no scrub %d", v.Name, c.ID)
	case c.Next == c.From && !c.Complete: // an engine that ended before it had begun
	case running != nil && running.getsOn(c):
		v = t.edit(v)
		v.Scrub.add(c)
		if c.Complete {
			v.LastScrub = &ScrubResult{Scrub: *v.Scrub, FinishedAt: t.at, Bytes: c.Next, Complete: true}
			v.Scrub, v.StoppedScrub = nil, nil
			t.scrubEvents(v)
		}
	case over == v.StoppedScrub && over != nil && over.getsOn(c):
		v = t.edit(v)
		v.StoppedScrub.add(c) // what was found before the engine heard that it is to stop
		v.StoppedScrub.Bytes = c.Next
	}
	t.answerScrub(v, c.ID)
	return nil
}

// getsOn reports whether a report brings more than is known. It may begin before what was looked at: the
// order of its engine was older than the last report, and what was found in between counts twice.
func (s *Scrub) getsOn(c *ReportScrub) bool {
	return c.From <= s.From && (c.Next > s.From || c.Complete)
}

// add adds what was found in the part that follows.
func (s *Scrub) add(c *ReportScrub) { s.Found, s.From = s.Found.plus(&c.Found), c.Next }

// scrubEvents tells what the scrub that has just ended found.
func (t *txn) scrubEvents(v *Volume) {
	found, object := &v.LastScrub.Found, "volume/"+v.Name
	t.event(SeverityInfo, object, "scrub_done", "volume %s was scrubbed: %d bad blocks, %d healed",
		v.Name, found.Bad(), found.Healed())
	for _, s := range found.Legs {
		if l := v.Leg(s.Leg); l != nil && s.Bad > 0 {
			t.event(SeverityWarning, object, "leg_bad_blocks", "%s of volume %s had %d bad blocks; %d were healed",
				t.legName(l), v.Name, s.Bad, s.Healed)
		}
	}
	if found.Diverged > 0 {
		t.event(SeverityError, object, "legs_diverged", "the legs of volume %s differ in %d blocks, and nothing tells "+
			"which is right", v.Name, found.Diverged)
	}
	if found.Unreadable > 0 {
		t.event(SeverityError, object, "blocks_unreadable", "no leg of volume %s can read %d blocks",
			v.Name, found.Unreadable)
	}
}

// copyScrubs replaces the parts of an edited volume that scrubs change by copies.
func (v *Volume) copyScrubs() {
	if v.Scrub != nil {
		s := *v.Scrub
		s.Found = s.Found.plus(&ScrubFound{})
		v.Scrub = &s
	}
	if v.StoppedScrub != nil {
		s := *v.StoppedScrub
		s.Found = s.Found.plus(&ScrubFound{})
		v.StoppedScrub = &s
	}
}
