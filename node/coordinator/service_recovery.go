package coordinator

import (
	"bytes"
	"context"
	"strings"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
)

// UnfreezeVolume lets a frozen volume be attached again.
func (s service) UnfreezeVolume(ctx context.Context, name string, r api.Unfreeze) (api.Volume, error) {
	state, _ := s.raft.State()
	vol, err := findVolume(state, name)
	if err != nil {
		return api.Volume{}, err
	}
	return s.decide(ctx, vol, raft.Command{Unfreeze: &raft.Unfreeze{Volume: vol.ID, Reason: r.Reason}})
}

// PromoteLeg lets a volume go on from one leg alone.
func (s service) PromoteLeg(ctx context.Context, name string, r api.Promote) (api.Volume, error) {
	var vol *raft.Volume
	cmd, err := reading(s, func(v *control.View) (cmd *raft.Command, err error) {
		vol, cmd, err = decidePromote(v, name, r)
		return cmd, err
	})
	if err != nil {
		return api.Volume{}, err
	}
	return s.decide(ctx, vol, *cmd)
}

// decidePromote decides on a promotion by names.
func decidePromote(v *control.View, name string, r api.Promote) (*raft.Volume, *raft.Command, error) {
	vol, err := findVolume(v.State, name)
	if err != nil {
		return nil, nil, err
	}
	leg, err := findLeg(v.State, vol, r.Leg)
	if err != nil {
		return nil, nil, err
	}
	return vol, &raft.Command{ForcePromote: &raft.ForcePromote{Volume: vol.ID, Leg: leg.ID, Reason: r.Reason,
		HostIsOff: r.HostIsOff}}, nil
}

// findLeg returns the leg of a volume by its id, the first digits of it, or the name of its node.
func findLeg(s *raft.State, vol *raft.Volume, name string) (*raft.Leg, error) {
	var found []*raft.Leg
	for _, l := range vol.Legs {
		if strings.HasPrefix(l.ID.String(), name) || s.NodeName(l.Node) == name {
			found = append(found, l)
		}
	}
	object := "volume/" + vol.Name
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, api.Errorf(api.CodeNotFound, object, "holdfast volume show names the legs",
			"volume %s has no leg %s, and none on a node of that name", vol.Name, name)
	}
	return nil, api.Errorf(api.CodeInvalid, object, "name the leg by its id, which holdfast volume show -o json tells",
		"volume %s has several legs that %s could mean", vol.Name, name)
}

// decide commits an operator's decision and shows the volume as it is then.
func (s service) decide(ctx context.Context, vol *raft.Volume, cmd raft.Command) (api.Volume, error) {
	if _, err := s.propose(ctx, "volume/"+vol.Name, cmd); err != nil {
		return api.Volume{}, err
	}
	return s.Volume(ctx, vol.ID.String())
}

// Backup returns a backup of the state as this leader has it: everything that was committed before it was
// asked is in it.
func (s service) Backup(context.Context) ([]byte, error) {
	if !s.raft.Leading() {
		return nil, notLeading()
	}
	state, revision := s.raft.State()
	var out bytes.Buffer
	if err := raft.WriteBackup(&out, state, revision, s.opts.Now()); err != nil {
		return nil, api.Errorf(api.CodeInternal, "cluster", "", "%s", err)
	}
	return out.Bytes(), nil
}

// EndRestore says that every leg was found after a restore. That storage nodes have told is judged by what this
// leader heard; the word itself is the operator's.
func (s service) EndRestore(ctx context.Context, r api.EndRestore) error {
	untold, err := reading(s, func(v *control.View) ([]string, error) {
		if !v.State.Cluster.FromLegs {
			return nil, nil // it was said before
		}
		return v.Untold(), nil
	})
	if err != nil {
		return err
	}
	if len(untold) > 0 && !r.Anyway {
		return api.Errorf(api.CodeRefused, "cluster", "start those nodes; if their disks are gone for good, and no "+
			"host uses them any more, the same with --yes goes on without what may be on them",
			"legs that nobody knows may have the only copy of writes: not told yet what is on the disks of %s",
			strings.Join(untold, ", "))
	}
	_, err = s.propose(ctx, "cluster", raft.Command{EndRebuild: &raft.EndRebuild{}})
	return err
}
