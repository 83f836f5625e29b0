package host

import (
	"maps"
	"slices"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/node/peer"
)

// report says what the host sees, for heartbeats.
func (c *core) report() ([]peer.EngineStatus, []peer.DomainStatus) {
	var engines []peer.EngineStatus
	for _, v := range c.sortedVolumes() {
		if v.engine != nil {
			engines = append(engines, *v.engine)
		}
	}
	var domains []peer.DomainStatus
	for _, name := range slices.Sorted(maps.Keys(c.domains)) {
		if d := c.domains[name]; d.want != nil || d.guest != nil {
			domains = append(domains, d.report())
		}
	}
	return engines, domains
}

func (d *domainView) report() peer.DomainStatus {
	s := peer.DomainStatus{Name: d.name, Error: d.failure}
	switch {
	case d.guest.running():
		s.Run, s.PID, s.State = d.guest.order.Run, d.guest.pid, string(d.guest.state.Phase)
		s.Agent = d.agent
		if d.guest.state.Paused {
			s.State = peer.DomainPaused
		}
		if d.job == endGuest {
			s.State = string(domain.PhaseStopping)
		}
	case d.want == nil || d.finished():
		s.Run, s.State = d.guest.order.Run, string(d.guest.state.Phase)
		if s.Error == "" {
			s.Error = d.guest.state.Cause
		}
	default:
		s.Run, s.State = d.want.Run, string(domain.PhaseStarting)
		switch {
		case d.retry.failures > 0 && d.failure != "":
			s.State = "failed" // it is tried again
		case d.want.Paused && d.failure == "" && d.job == idle:
			s.State = peer.DomainPaused // its disks serve, and it is started once it is resumed
		}
	}
	return s
}
