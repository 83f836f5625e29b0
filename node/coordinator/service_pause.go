package coordinator

import (
	"context"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
)

// PauseDomain has the guest of a domain stand still, and waits until it does.
func (s service) PauseDomain(ctx context.Context, name string, w api.Wait) (api.Domain, error) {
	return s.hold(ctx, name, true, w)
}

// ResumeDomain has the guest of a domain go on, and waits until it runs.
func (s service) ResumeDomain(ctx context.Context, name string, w api.Wait) (api.Domain, error) {
	return s.hold(ctx, name, false, w)
}

func (s service) hold(ctx context.Context, name string, paused bool, w api.Wait) (api.Domain, error) {
	object := "domain/" + name
	if _, err := s.propose(ctx, object,
		raft.Command{PauseDomain: &raft.PauseDomain{Name: name, Paused: paused}}); err != nil {
		return api.Domain{}, err
	}
	if w.NoWait {
		return s.Domain(ctx, name)
	}
	doing, want := "resuming domain ", control.DomainRunning
	if paused {
		doing, want = "pausing domain ", control.DomainPaused
	}
	err := s.await(ctx, object, doing+name, func(v *control.View) (bool, error) {
		d := v.State.Domains[name]
		if d == nil || !d.Running || d.Paused != paused {
			return false, api.Errorf(api.CodeFailed, object, "holdfast domain show "+name,
				"domain %s was stopped, paused or resumed by somebody else meanwhile", name)
		}
		fact := v.Domain(d)
		return fact != nil && fact.State == want && v.Condition(d.Host) != raft.NodeDead, nil
	})
	if err != nil {
		return api.Domain{}, err
	}
	return s.Domain(ctx, name)
}
