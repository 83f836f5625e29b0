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
	seqs := make(map[volume.LegID]uint64, len(c.Seqs))
	for _, s := range c.Seqs {
		seqs[s.Leg] = s.Seq
	}
	v = t.edit(v)
	for _, id := range v.InSync {
		if l := v.Leg(id); l.JoinedCfg <= c.CfgVer {
			l.LabelCfg, l.LabelSeq = max(l.LabelCfg, c.CfgVer), max(l.LabelSeq, seqs[id])
			l.LabelEpoch = c.Epoch
		}
	}
	t.answer(v)
	return nil
}
