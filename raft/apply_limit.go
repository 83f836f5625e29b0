package raft

import (
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// SetLimit changes how fast the guest of a volume may read and write it. What is nil stays as it is. The engine that
// serves the volume learns of it by its next ticket.
type SetLimit struct {
	Volume    volume.ID      `json:"volume"`
	IOPS      *int64         `json:"iops,omitempty"`      // requests a second; zero is no limit
	Bandwidth *int64         `json:"bandwidth,omitempty"` // bytes a second; zero is no limit
	Burst     *time.Duration `json:"burst,omitempty"`     // zero is the default
}

// setLimit applies SetLimit.
func (t *txn) setLimit(c *SetLimit) *Refusal {
	v, r := t.volume(c.Volume)
	if r != nil {
		return r
	}
	limit := v.Limit
	if c.IOPS != nil {
		limit.IOPS = *c.IOPS
	}
	if c.Bandwidth != nil {
		limit.Bandwidth = *c.Bandwidth
	}
	if c.Burst != nil {
		limit.Burst = *c.Burst
	}
	if err := limit.Check(); err != nil {
		return invalid("volume %s: %v", v.Name, err)
	}
	if limit != v.Limit {
		v = t.edit(v)
		v.Limit = limit
		t.event(SeverityInfo, "volume/"+v.Name, "limit_set", "the limit of volume %s: %s", v.Name, limit)
	}
	t.answer(v)
	return nil
}
