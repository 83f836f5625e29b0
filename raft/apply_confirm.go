package raft

import "github.com/holdfast-storage/holdfast/volume"

// confirmConfig notes how far the labels of the legs in sync have come, by the word of the host of the
// current epoch. A leg that joined since, or left, is not meant: a confirmation may arrive late.
func (t *txn) confirmConfig(c *ConfirmConfig) *Refusal {
	v, r := t.attached(c.Volume, c.Epoch) // before, no leg has anything of this epoch
	if r != nil {
		return r
	}
	if c.CfgVer > v.CfgVer {
		return invalid("cfgver %s of volume %s cannot be durable anywhere: it is at %s", c.CfgVer, v.Name, v.CfgVer)
	}
	v = t.labelsCame(t.edit(v), c.Epoch, c.CfgVer, c.Seqs)
	for _, id := range v.InSync {
		if l := v.Leg(id); l.JoinedCfg <= c.CfgVer {
			l.LabelCfg, l.LabelEpoch = max(l.LabelCfg, c.CfgVer), c.Epoch
		}
	}
	t.answer(v)
	return nil
}

// labelsCame notes how far the durable labels of legs have come, by the word of the host of an epoch that knew
// configuration cfg. A leg that joined since is not meant: it may have been set back before, and its label goes on
// from there.
func (t *txn) labelsCame(v *Volume, e volume.Epoch, cfg volume.CfgVer, seqs []volume.LegSeq) *Volume {
	if len(seqs) == 0 {
		return v
	}
	v = t.edit(v)
	for _, s := range seqs {
		if l := v.Leg(s.Leg); l != nil && !l.SetBack && l.JoinedCfg <= cfg && s.Seq > l.LabelSeq {
			l.LabelSeq, l.LabelEpoch = s.Seq, e
		}
	}
	return v
}
