package raft

import (
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// confirmCopy keeps how far the copy onto a leg has come.
//
// Why the claim stays true: every write that any leg in sync carries with a version up to Since had ended
// on all legs that got writes, this one included, before the host asked (mirror, savecopy.go). What the leg
// misses later is newer than Since on whichever leg is in sync then (I17 is the same for legs that were in
// sync at Since), what it has that nobody else has is under its own marks, and so is what it may lose.
// That holds through restarts of the leg's node, power cuts and later epochs. It does not hold for a leg
// that is set back: then the claim is dropped with everything else that is known of it.
func (t *txn) confirmCopy(c *ConfirmCopy) *Refusal {
	v, r := t.attached(c.Volume, c.Epoch)
	if r != nil {
		return r
	}
	t.stands = v // a refused host learns the configuration that it missed
	l := v.Leg(c.Leg)
	switch {
	case l == nil:
		return refuse(CodeNotFound, "volume %s has no leg %s", v.Name, c.Leg)
	case l.Copied == Copied{Upto: c.Upto, Since: c.Since, At: c.CfgVer} && c.CfgVer < v.CfgVer:
		t.answer(v) // done before
		return nil
	case !l.usable() || !l.Provisioned || l.SetBack || l.LastISRCfg != 0:
		return invalid("%s of volume %s is %s: how far it is copied is not kept", t.legName(l), v.Name, l.State)
	case c.Upto < l.Copied.Upto || c.Upto > v.LegBytes() || c.Since < l.Copied.Since || c.Since >= max(c.CfgVer, 1):
		return invalid("%s of volume %s: copied up to %d, since cfgver %s, was %d, %s",
			t.legName(l), v.Name, c.Upto, c.Since, l.Copied.Upto, l.Copied.Since)
	case c.CfgVer != v.CfgVer:
		return refuse(CodeRetry, "volume %s is at cfgver %s, not %s", v.Name, v.CfgVer, c.CfgVer)
	case v.inSync(l.ID):
		return refuse(CodeRetry, "%s of volume %s is in sync already", t.legName(l), v.Name)
	case l.FencedEpoch != c.Epoch || l.Store != c.Store || l.Instance != c.Instance:
		return refuse(CodeRetry, "%s of volume %s restarted or moved since its copy began", t.legName(l), v.Name)
	case slices.ContainsFunc(v.InSync, func(id volume.LegID) bool { return v.Leg(id).SetBack }):
		return refuse(CodeRetry, "volume %s: what %s is copied from was set back to an older state",
			v.Name, t.legName(l))
	}
	v = t.labelsCame(t.edit(v), c.Epoch, c.CfgVer, c.Seqs)
	v.Leg(c.Leg).Copied = Copied{Upto: c.Upto, Since: c.Since, At: c.CfgVer}
	v.CfgVer = t.nextCfgVer(v)
	if t.breaks(BreakCopySinceNow) { // [M:copySinceNow]
		v.Leg(c.Leg).Copied.Since = v.CfgVer
	}
	t.answer(v)
	return nil
}
