package mirror

import (
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// confirmJob tells the coordinators how far the labels of the legs have come, so that a leg that shows
// less in a later epoch is known to have been set back. It is evidence and no more: nothing waits for it.
type confirmJob struct {
	under   bool          // a question is under way
	asked   uint64        // sum of the sequence numbers in it
	cfg     volume.CfgVer // the latest configuration that was confirmed
	seqs    uint64        // sum of the sequence numbers that were confirmed with it
	at      time.Duration // of the latest confirmation
	retryAt time.Duration
}

// confirmEvery is how often labels are confirmed that moved on without a new configuration, under load;
// confirmRetry is the pause after a question that was not answered.
const (
	confirmEvery = time.Minute
	// confirmIdle is how often the labels of an idle volume are: their marks have been cleared, so what they
	// have come to is all that a leg which is set back now would lack.
	confirmIdle  = 10 * time.Second
	confirmRetry = 2 * time.Second
)

// pumpConfirm confirms a configuration that is on every leg in sync, or labels that moved on since.
func (c *Core) pumpConfirm() {
	j := &c.confirming
	if j.under || c.now < j.retryAt || c.phase < phaseConfiguring || c.phase > phaseServing ||
		!c.kisr.within(c.conf) {
		return
	}
	sum := uint64(0)
	for s := c.kisr; s != 0; s = s.rest() {
		sum += c.leg(s.first()).shown.progress
	}
	if j.cfg == c.kcfg.CfgVer && (sum == j.seqs || c.now-j.at < c.confirmPause()) {
		return // the regular look comes by again
	}
	j.under, j.asked = true, sum
	c.ask(noLeg, &Command{Kind: CommandConfirm, CfgVer: c.kcfg.CfgVer, Seqs: c.labelSeqs(c.kisr)},
		uint64(c.kcfg.CfgVer))
}

// confirmPause is how long ago the latest confirmation has to be.
func (c *Core) confirmPause() time.Duration {
	if !c.uncleared && c.clear.step == clearIdle {
		return confirmIdle
	}
	return confirmEvery
}

// labelSeqs returns how far the durable labels of these legs have come, by what they answered.
func (c *Core) labelSeqs(legs legSet) []volume.LegSeq {
	seqs := make([]volume.LegSeq, 0, legs.count())
	for s := legs; s != 0; s = s.rest() {
		if g := c.leg(s.first()); !g.lost {
			seqs = append(seqs, volume.LegSeq{Leg: g.info.ID, Seq: g.shown.progress})
		}
	}
	return seqs
}

func (c *Core) onConfirm(k call, err error) {
	j := &c.confirming
	j.under = false
	if err != nil {
		j.retryAt = c.now + confirmRetry
		return
	}
	j.cfg, j.seqs, j.at = volume.CfgVer(k.ref), j.asked, c.now
}
