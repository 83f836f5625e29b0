package raft

import (
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// SetScrubEvery changes how often a volume is scrubbed by itself. A scrub that runs goes on.
type SetScrubEvery struct {
	Volume volume.ID     `json:"volume"`
	Every  time.Duration `json:"every,omitempty"` // zero is never
}

// setScrubEvery applies SetScrubEvery.
func (t *txn) setScrubEvery(c *SetScrubEvery) *Refusal {
	v, r := t.volume(c.Volume)
	if r != nil {
		return r
	}
	if r := checkScrubEvery(v.Name, c.Every); r != nil {
		return r
	}
	if c.Every != v.ScrubEvery {
		v = t.edit(v)
		v.ScrubEvery = c.Every
		every := "never by itself"
		if c.Every != 0 {
			every = "every " + c.Every.String()
		}
		t.event(SeverityInfo, "volume/"+v.Name, "scrub_every_set", "volume %s is scrubbed %s", v.Name, every)
	}
	t.answer(v)
	return nil
}

// checkScrubEvery returns what is wrong with a schedule.
func checkScrubEvery(name string, every time.Duration) *Refusal {
	if every != 0 && every < ScrubEveryMin {
		return invalid("volume %s: a scrub every %v: the shortest schedule is %v, 0 is never", name, every,
			ScrubEveryMin)
	}
	return nil
}
