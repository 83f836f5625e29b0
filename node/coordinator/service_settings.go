package coordinator

import (
	"context"
	"math"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// SetVolume changes settings of a volume.
func (s service) SetVolume(ctx context.Context, name string, r api.SetVolume) (api.Volume, error) {
	state, _ := s.raft.State()
	vol, err := findVolume(state, name)
	if err != nil {
		return api.Volume{}, err
	}
	var changes []func() error
	if r.Limit != nil && *r.Limit != (api.SetLimit{}) {
		changes = append(changes, func() error { return s.setLimit(ctx, vol, r.Limit) })
	}
	if r.Export != nil {
		changes = append(changes, func() error { return s.setExport(ctx, state, vol, r.Export) })
	}
	if r.ScrubEverySeconds != nil {
		changes = append(changes, func() error { return s.setScrubEvery(ctx, vol, *r.ScrubEverySeconds) })
	}
	switch len(changes) {
	case 0:
		return api.Volume{}, api.Errorf(api.CodeInvalid, "volume/"+vol.Name, "name a limit, an export or a schedule",
			"volume %s: nothing is to be changed", vol.Name)
	case 1:
		if err := changes[0](); err != nil {
			return api.Volume{}, err
		}
		return s.Volume(ctx, vol.ID.String())
	}
	return api.Volume{}, api.Errorf(api.CodeInvalid, "volume/"+vol.Name, "send them one after the other",
		"volume %s: of a limit, an export and a schedule at once one may be refused when the other is changed already",
		vol.Name)
}

// setScrubEvery changes how often a volume is scrubbed by itself.
func (s service) setScrubEvery(ctx context.Context, vol *raft.Volume, seconds int64) error {
	every, err := scrubTime(vol.Name, seconds)
	if err != nil {
		return err
	}
	_, err = s.propose(ctx, "volume/"+vol.Name, raft.Command{SetScrubEvery: &raft.SetScrubEvery{
		Volume: vol.ID, Every: every}})
	return err
}

// setLimit changes the limit of a volume.
func (s service) setLimit(ctx context.Context, vol *raft.Volume, r *api.SetLimit) error {
	burst, err := burstOf(vol.Name, r)
	if err != nil {
		return err
	}
	_, err = s.propose(ctx, "volume/"+vol.Name, raft.Command{SetLimit: &raft.SetLimit{
		Volume: vol.ID, IOPS: r.IOPS, Bandwidth: r.BandwidthBytes, Burst: burst}})
	return err
}

// limitOf returns the limit that a new volume asks for.
func limitOf(r api.CreateVolume) (volume.Limit, error) {
	var l volume.Limit
	if r.Limit == nil {
		return l, nil
	}
	burst, err := burstOf(r.Name, r.Limit)
	if err != nil {
		return l, err
	}
	if burst != nil {
		l.Burst = *burst
	}
	if r.Limit.IOPS != nil {
		l.IOPS = *r.Limit.IOPS
	}
	if r.Limit.BandwidthBytes != nil {
		l.Bandwidth = *r.Limit.BandwidthBytes
	}
	if err := l.Check(); err != nil {
		return l, api.Errorf(api.CodeInvalid, "volume/"+r.Name, "", "volume %s: %s", r.Name, err)
	}
	return l, nil
}

// burstOf returns the burst that is asked for, nil if none is.
func burstOf(name string, l *api.SetLimit) (*time.Duration, error) {
	if l.BurstSeconds == nil {
		return nil, nil
	}
	seconds := *l.BurstSeconds
	if seconds < 0 || seconds > math.MaxInt32 {
		return nil, api.Errorf(api.CodeInvalid, "volume/"+name, "", "volume %s: a burst of %v s is no time", name,
			seconds)
	}
	burst := time.Duration(math.Round(seconds * float64(time.Second)))
	return &burst, nil
}

func showLimit(l volume.Limit) api.Limit {
	return api.Limit{IOPS: l.IOPS, BandwidthBytes: l.Bandwidth, BurstSeconds: l.BurstTime().Seconds()}
}
