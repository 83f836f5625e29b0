package coordinator

import (
	"context"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// Domains lists the domains.
func (s service) Domains(context.Context) ([]api.Domain, error) {
	return reading(s, func(v *control.View) ([]api.Domain, error) {
		out := []api.Domain{}
		for _, d := range v.State.SortedDomains() {
			out = append(out, showDomain(v, d))
		}
		return out, nil
	})
}

// Domain shows one domain.
func (s service) Domain(_ context.Context, name string) (api.Domain, error) {
	return reading(s, func(v *control.View) (api.Domain, error) {
		d, err := findDomain(v.State, name)
		if err != nil {
			return api.Domain{}, err
		}
		out := showDomain(v, d)
		why, err := control.Why(v, "domain/"+d.Name)
		if err != nil {
			return api.Domain{}, err
		}
		out.Timers = showTimers(why.AllTimers())
		return out, nil
	})
}

// DefineDomain adds a domain, or changes one that is stopped.
func (s service) DefineDomain(ctx context.Context, spec api.DomainSpec) (api.Domain, error) {
	definition, err := definitionOf(spec)
	if err != nil {
		return api.Domain{}, err
	}
	object := "domain/" + spec.Name
	state, _ := s.raft.State()
	for _, name := range spec.Hosts {
		if n, err := findNode(state, name); err != nil {
			return api.Domain{}, err
		} else if !n.Has(raft.RoleHost) {
			return api.Domain{}, api.Errorf(api.CodeInvalid, object, "name nodes with the role host",
				"domain %s: node %s is no host", spec.Name, name)
		}
	}
	if definition, err = versionsOf(state, definition); err != nil {
		return api.Domain{}, err
	}
	cmd := raft.Command{DefineDomain: &raft.DefineDomain{ID: volume.NewUUID(), Spec: definition}}
	if _, err := s.propose(ctx, object, cmd); err != nil {
		return api.Domain{}, err
	}
	return s.Domain(ctx, spec.Name)
}

// DeleteDomain forgets a domain that is stopped for good.
func (s service) DeleteDomain(ctx context.Context, name string) error {
	state, _ := s.raft.State()
	if _, err := findDomain(state, name); err != nil {
		return err
	}
	for _, vol := range state.SortedVolumes() {
		if vol.Attach != nil && vol.Attach.Domain == name {
			return api.Errorf(api.CodeBusy, "domain/"+name, "holdfast domain stop "+name,
				"domain %s still has volume %s on %s", name, vol.Name, state.NodeName(vol.Attach.Host))
		}
	}
	_, err := s.propose(ctx, "domain/"+name, raft.Command{DeleteDomain: &raft.DeleteDomain{Name: name}})
	return err
}

// StartDomain starts a domain on the first of its hosts that lives, and waits until it runs.
func (s service) StartDomain(ctx context.Context, name string, w api.Wait) (api.Domain, error) {
	cmd, err := reading(s, func(v *control.View) (*raft.Command, error) {
		d, err := findDomain(v.State, name)
		if err != nil || d.Running && !d.Paused {
			return nil, err
		}
		if d.Paused {
			return nil, api.Errorf(api.CodeInvalid, "domain/"+d.Name, "holdfast domain resume "+d.Name,
				"domain %s is paused on %s: it is resumed, not started", d.Name, v.State.NodeName(d.Host))
		}
		host := v.ChooseHost(d.Spec, volume.NodeID{})
		if host == nil {
			return nil, noHost(v, d)
		}
		place := v.Place(d, host.ID, "started by an operator")
		place.PlaceDomain.Takeover = false
		return &place, nil
	})
	return s.placed(ctx, name, cmd, w, err)
}

// FailoverDomain moves a domain to another host and waits until it runs there.
func (s service) FailoverDomain(ctx context.Context, name string, r api.FailoverDomain) (api.Domain, error) {
	cmd, err := reading(s, func(v *control.View) (*raft.Command, error) { return decideFailover(v, name, r.To) })
	return s.placed(ctx, name, cmd, r.Wait, err)
}

// decideFailover decides where a domain moves: to the host of that name, if it is not empty.
func decideFailover(v *control.View, name, host string) (*raft.Command, error) {
	d, err := findDomain(v.State, name)
	if err != nil {
		return nil, err
	}
	if !d.Running {
		return nil, api.Errorf(api.CodeInvalid, "domain/"+name, "holdfast domain start "+name,
			"domain %s is stopped, so there is nothing to move", name)
	}
	to := v.ChooseHost(d.Spec, d.Host)
	if host != "" {
		if to, err = findHost(v, host); err != nil {
			return nil, err
		}
	}
	if to == nil {
		return nil, noHost(v, d)
	}
	if to.ID == d.Host {
		return nil, api.Errorf(api.CodeInvalid, "domain/"+name, "name another host with --to",
			"domain %s is placed on %s already", name, to.Name)
	}
	place := v.Place(d, to.ID, "failed over by an operator")
	return &place, nil
}

// noHost says why none of a domain's hosts can take it.
func noHost(v *control.View, d *raft.Domain) error {
	var states []string
	for _, n := range v.State.SortedNodes() {
		if n.Has(raft.RoleHost) && (len(d.Spec.Hosts) == 0 || slices.Contains(d.Spec.Hosts, n.Name)) {
			states = append(states, phrase("%s is %s", n.Name, nodeState(v, n)))
		}
	}
	return api.Errorf(api.CodeFailed, "domain/"+d.Name, "start one of its hosts, or change its definition",
		"domain %s: no other host can take it (%s)", d.Name, strings.Join(states, ", "))
}

// placed commits a placement, if there is one to commit, and waits until the domain runs.
func (s service) placed(ctx context.Context, name string, cmd *raft.Command, w api.Wait,
	err error) (api.Domain, error) {
	if err != nil {
		return api.Domain{}, err
	}
	object := "domain/" + name
	if cmd != nil {
		if _, err := s.propose(ctx, object, *cmd); err != nil {
			return api.Domain{}, err
		}
	}
	if w.NoWait {
		return s.Domain(ctx, name)
	}
	err = s.await(ctx, object, "starting domain "+name, func(v *control.View) (bool, error) {
		d := v.State.Domains[name]
		if d == nil || !d.Running {
			return false, api.Errorf(api.CodeFailed, object, "", "domain %s was stopped meanwhile", name)
		}
		fact := v.Domain(d)
		switch {
		case fact == nil:
			return false, nil
		case fact.State == control.DomainFailed || fact.State == control.DomainExited:
			return false, api.Errorf(api.CodeFailed, object,
				"it is started again; look at its log on "+v.State.NodeName(d.Host),
				"domain %s does not run on %s: %s %s", name, v.State.NodeName(d.Host), fact.State, fact.Error)
		}
		// One that is paused has arrived: its disks serve, and it starts when it is resumed.
		return fact.State == control.DomainRunning || fact.State == control.DomainPaused && d.Paused, nil
	})
	if err != nil {
		return api.Domain{}, err
	}
	return s.Domain(ctx, name)
}

// StopDomain stops a domain and waits until nothing of it runs and its volumes are detached.
func (s service) StopDomain(ctx context.Context, name string, w api.Wait) (api.Domain, error) {
	state, _ := s.raft.State()
	if _, err := findDomain(state, name); err != nil {
		return api.Domain{}, err
	}
	object := "domain/" + name
	if _, err := s.propose(ctx, object, raft.Command{StopDomain: &raft.StopDomain{Name: name}}); err != nil {
		return api.Domain{}, err
	}
	if !w.NoWait {
		err := s.await(ctx, object, "stopping domain "+name, func(v *control.View) (bool, error) {
			for _, vol := range v.State.Volumes { // any one will do, so the order of the map does not matter
				if vol.Attach != nil && vol.Attach.Domain == name {
					return false, nil
				}
			}
			d := v.State.Domains[name]
			return d == nil || !d.Running, nil
		})
		if err != nil {
			return api.Domain{}, err
		}
	}
	return s.Domain(ctx, name)
}
