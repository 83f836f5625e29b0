package coordinator

import (
	"context"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// MigrateDomain moves a domain's guest to another host while it runs, and waits until it runs there.
func (s service) MigrateDomain(ctx context.Context, name string, r api.MigrateDomain) (api.Domain, error) {
	cmd, err := reading(s, func(v *control.View) (*raft.Command, error) { return decideMigration(v, name, r.To) })
	if err != nil {
		return api.Domain{}, err
	}
	object := "domain/" + name
	if _, err := s.propose(ctx, object, *cmd); err != nil {
		return api.Domain{}, err
	}
	if r.NoWait {
		return s.Domain(ctx, name)
	}
	run := cmd.BeginMigration.Run + 1
	err = s.await(ctx, object, "migrating domain "+name, func(v *control.View) (bool, error) {
		o := latestMigration(v.State, name, run)
		switch {
		case o == nil:
			return false, api.Errorf(api.CodeFailed, object, "", "domain %s was deleted meanwhile", name)
		case o.Running():
			return false, nil
		case o.Result == raft.OperationDone:
			return true, nil
		}
		return false, api.Errorf(api.CodeFailed, object, "holdfast domain show "+name,
			"the migration of domain %s from %s to %s is %s: %s", name, o.From, o.To, o.Result, o.Message)
	})
	if err != nil {
		return api.Domain{}, err
	}
	return s.Domain(ctx, name)
}

// latestMigration returns the latest migration that brings a run of a domain about, nil if none is remembered.
func latestMigration(s *raft.State, name string, run uint64) *raft.Operation {
	var latest *raft.Operation
	for _, o := range s.Operations {
		if o.Kind == raft.OperationMigration && o.Domain == name && o.Run >= run {
			latest = o
		}
	}
	return latest
}

// decideMigration decides where a guest moves: to the host of that name, if it is not empty.
func decideMigration(v *control.View, name, host string) (*raft.Command, error) {
	d, err := findDomain(v.State, name)
	if err != nil {
		return nil, err
	}
	object := "domain/" + name
	if !d.Running {
		return nil, api.Errorf(api.CodeInvalid, object, "holdfast domain start "+name,
			"domain %s is stopped, so there is nothing to move", name)
	}
	if d.Paused {
		return nil, api.Errorf(api.CodeInvalid, object, "holdfast domain resume "+name,
			"domain %s is paused: a guest that runs is migrated", name)
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
	if fact := v.Domain(d); fact == nil || fact.State != control.DomainRunning {
		return nil, api.Errorf(api.CodeFailed, object, "holdfast why domain/"+name,
			"the guest of domain %s does not run on %s", name, v.State.NodeName(d.Host))
	}
	return &raft.Command{BeginMigration: &raft.BeginMigration{Request: volume.NewUUID(), Name: name, Host: to.ID,
		Run: d.Run, Reason: "migrated by an operator"}}, nil
}

// AbortMigration has the guest of a domain that is migrated stay where it is.
func (s service) AbortMigration(ctx context.Context, name string) (api.Domain, error) {
	object := "domain/" + name
	cmd, err := deciding(s, func(state *raft.State) (*raft.Command, error) {
		d, err := findDomain(state, name)
		switch {
		case err != nil:
			return nil, err
		case d.Migration == nil:
			return nil, api.Errorf(api.CodeInvalid, object, "holdfast operation list",
				"domain %s is not migrated", name)
		case d.Migration.Switched:
			return nil, api.Errorf(api.CodeInvalid, object, "holdfast domain show "+name,
				"domain %s has moved already: it is on %s", name, state.NodeName(d.Host))
		}
		return &raft.Command{AbortMigration: &raft.AbortMigration{ID: d.Migration.Operation, Name: name, Run: d.Run,
			Reason: "by an operator"}}, nil
	})
	if err != nil {
		return api.Domain{}, err
	}
	if _, err := s.propose(ctx, object, *cmd); err != nil {
		return api.Domain{}, err
	}
	return s.Domain(ctx, name)
}
