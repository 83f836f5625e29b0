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
	object := "volume/" + vol.Name
	if r.Limit == nil || *r.Limit == (api.SetLimit{}) {
		return api.Volume{}, api.Errorf(api.CodeInvalid, object, "name a limit", "volume %s: nothing is to be changed",
			vol.Name)
	}
	burst, err := burstOf(vol.Name, r.Limit)
	if err != nil {
		return api.Volume{}, err
	}
	if _, err := s.propose(ctx, object, raft.Command{SetLimit: &raft.SetLimit{
		Volume: vol.ID, IOPS: r.Limit.IOPS, Bandwidth: r.Limit.BandwidthBytes, Burst: burst}}); err != nil {
		return api.Volume{}, err
	}
	return s.Volume(ctx, vol.ID.String())
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
