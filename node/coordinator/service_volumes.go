package coordinator

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// attachTries bounds how often an attach is decided anew because another decision came first.
const attachTries = 5

// Volumes lists the volumes.
func (s service) Volumes(context.Context) ([]api.Volume, error) {
	return reading(s, func(v *control.View) ([]api.Volume, error) {
		out := []api.Volume{}
		for _, vol := range v.State.SortedVolumes() {
			out = append(out, showVolume(v, vol))
		}
		return out, nil
	})
}

// Volume shows one volume.
func (s service) Volume(_ context.Context, name string) (api.Volume, error) {
	return reading(s, func(v *control.View) (api.Volume, error) {
		vol, err := findVolume(v.State, name)
		if err != nil {
			return api.Volume{}, err
		}
		return showVolume(v, vol), nil
	})
}

// CreateVolume places the legs, commits the volume and waits until its nodes made them.
func (s service) CreateVolume(ctx context.Context, r api.CreateVolume) (api.Volume, error) {
	object := "volume/" + r.Name
	id := volume.NewID()
	if r.ID != "" {
		parsed, err := volume.ParseUUID(r.ID)
		if err != nil {
			return api.Volume{}, api.Errorf(api.CodeInvalid, object, "", "volume %s: id %s", r.Name, err)
		}
		id = volume.ID{UUID: parsed}
	}
	if err := s.placeVolume(ctx, id, r); err != nil {
		return api.Volume{}, err
	}
	if !r.NoWait {
		err := s.await(ctx, object, "making volume "+r.Name, func(v *control.View) (bool, error) {
			vol := v.State.Volumes[id]
			if vol == nil || vol.Deleting {
				return false, api.Errorf(api.CodeFailed, object, "", "volume %s was deleted meanwhile",
					r.Name)
			}
			return vol.Phase != volume.PhaseProvisioning && reported(v, vol), nil
		})
		if err != nil {
			return api.Volume{}, err
		}
	}
	return s.Volume(ctx, id.String())
}

// placeVolume finds places for the legs of a volume and commits to it. What is decided takes its space from the next.
func (s service) placeVolume(ctx context.Context, id volume.ID, r api.CreateVolume) error {
	var cmd *raft.CreateVolume
	if err := s.reserve(id, func(v *control.View) (legs []raft.NewLeg, bytes int64, err error) {
		if cmd, err = planVolume(v, id, r); err != nil {
			return nil, 0, err
		}
		return cmd.Legs, cmd.Layout.StoreBytes(cmd.SizeBytes), nil
	}); err != nil {
		return err
	}
	_, err := s.propose(ctx, "volume/"+r.Name, raft.Command{CreateVolume: cmd})
	var refusal *api.Error
	s.settle(cmd.Legs, errors.As(err, &refusal) && refusal.Code == api.CodeUnknown)
	return err
}

// reported says whether every node that speaks has told of its leg: until then nobody can say how well
// a new volume is.
func reported(v *control.View, vol *raft.Volume) bool {
	return !slices.ContainsFunc(vol.Legs, func(l *raft.Leg) bool {
		_, condition := v.Leg(l)
		return condition == control.ConditionUnknown
	})
}

// planVolume checks a request and finds places for its legs. A request that is repeated gets the
// volume that it made.
func planVolume(v *control.View, id volume.ID, r api.CreateVolume) (*raft.CreateVolume, error) {
	object := "volume/" + r.Name
	invalid := func(err error) error {
		return api.Errorf(api.CodeInvalid, object, "", "volume %s: %s", r.Name,
			err)
	}
	if err := volume.CheckName("volume", r.Name); err != nil {
		return nil, api.Errorf(api.CodeInvalid, object, "", "%s", err)
	}
	layout, err := volume.ParseLayout(r.Layout)
	if err != nil {
		return nil, invalid(err)
	}
	if err := volume.CheckSize(r.SizeBytes); err != nil {
		return nil, invalid(err)
	}
	durability, err := volume.ParseDurability(r.Durability)
	if err != nil {
		return nil, invalid(err)
	}
	cmd := &raft.CreateVolume{
		ID: id, Name: r.Name, SizeBytes: r.SizeBytes, Layout: layout, Durability: durability,
		UnflushedLoss: volume.UnflushedLoss(r.UnflushedLoss), DataGen: v.NewID(),
	}
	if cmd.ScrubEvery, err = scrubEvery(r); err != nil {
		return nil, err
	}
	if cmd.Limit, err = limitOf(r); err != nil {
		return nil, err
	}
	if err := demands(v, r, cmd); err != nil {
		return nil, err
	}
	if v.State.Volumes[id] != nil {
		return cmd, nil // Apply compares it with the one that exists
	}
	if v.State.VolumeByName(r.Name) != nil {
		return nil, api.Errorf(api.CodeExists, object, "choose another name", "volume %s exists already",
			r.Name)
	}
	if len(r.LegsOn) > 0 && len(r.LegsOn) != layout.Legs() {
		return nil, api.Errorf(api.CodeInvalid, object, phrase("name %d nodes", layout.Legs()),
			"volume %s: layout %s has %d legs, %d nodes are named", r.Name, layout, layout.Legs(),
			len(r.LegsOn))
	}
	spots, err := placeLegs(v, r, cmd)
	if err != nil {
		return nil, err
	}
	for slot, spot := range spots {
		cmd.Legs = append(cmd.Legs, raft.NewLeg{
			ID: volume.LegID{UUID: v.NewID()}, Node: spot.Node, Store: spot.Store, Slot: slot,
		})
	}
	return cmd, nil
}

// DeleteVolume deletes a detached volume. It is done when every node that answers has deleted its
// legs; silent ones do so when they return.
func (s service) DeleteVolume(ctx context.Context, name string, w api.Wait) error {
	var cmd *raft.Command
	vol, err := reading(s, func(v *control.View) (vol *raft.Volume, err error) {
		vol, cmd, err = decideDelete(v, name)
		return vol, err
	})
	if err != nil {
		return err
	}
	object := "volume/" + vol.Name
	if _, err := s.propose(ctx, object, *cmd); err != nil {
		return err
	}
	if w.NoWait {
		return nil
	}
	return s.await(ctx, object, "deleting volume "+vol.Name, func(v *control.View) (bool, error) {
		left := v.State.Volumes[vol.ID]
		if left == nil {
			return true, nil
		}
		for _, l := range left.Legs {
			if _, condition := v.Leg(l); condition != control.ConditionUnreachable {
				return false, nil
			}
		}
		return true, nil
	})
}

// decideDelete returns the volume to be deleted and what is to be committed.
func decideDelete(v *control.View, name string) (*raft.Volume, *raft.Command, error) {
	vol, err := findVolume(v.State, name)
	if err != nil {
		return nil, nil, err
	}
	return vol, &raft.Command{DeleteVolume: &raft.DeleteVolume{Volume: vol.ID}}, nil
}

// AttachVolume grants a volume to a host and waits until its engine serves.
func (s service) AttachVolume(ctx context.Context, name string, r api.AttachVolume) (api.Attached, error) {
	state, _ := s.raft.State()
	vol, err := findVolume(state, name)
	if err != nil {
		return api.Attached{}, err
	}
	object := "volume/" + vol.Name
	for try := 1; ; try++ {
		cmd, err := reading(s, func(v *control.View) (*raft.BeginAttach,
			error) {
			return planAttach(v, vol.ID, name, r)
		})
		if err != nil {
			return api.Attached{}, err
		}
		if cmd == nil {
			break // this host holds it
		}
		result, err := s.propose(ctx, object, raft.Command{BeginAttach: cmd})
		if err == nil {
			break
		}
		if result.Err == nil || result.Err.Code != raft.CodeRetry || try == attachTries {
			return api.Attached{}, err
		}
	}
	return s.served(ctx, vol, r)
}

// planAttach decides what an attach asks of raft, nil if the host holds the volume already.
func planAttach(v *control.View, id volume.ID, name string, r api.AttachVolume) (*raft.BeginAttach, error) {
	host, err := findHost(v, r.Host)
	if err != nil {
		return nil, err
	}
	vol, err := findVolume(v.State, id.String())
	if err != nil {
		return nil, api.Errorf(api.CodeNotFound, "volume/"+name, "", "volume %s was deleted meanwhile", name)
	}
	object := "volume/" + vol.Name
	held := vol.Attach != nil && !vol.Attach.NoGuests()
	switch {
	case vol.Filling():
		return nil, api.Errorf(api.CodeBusy, object, phrase("holdfast volume show %s tells how far it is", vol.Name),
			"volume %s is being filled with what %s holds", vol.Name, vol.Clone.SourceName)
	case vol.Attach != nil && vol.Attach.Filling:
		return nil, api.Errorf(api.CodeBusy, object, "attach it again when that is done",
			"volume %s was filled on %s, and is being detached", vol.Name, v.State.NodeName(vol.Attach.Host))
	case held && vol.Attach.Host == host.ID && !vol.Attach.Detaching && !r.AcceptLoss:
		return nil, nil
	case held && vol.Attach.Host == host.ID && vol.Attach.Detaching:
		return nil, api.Errorf(api.CodeBusy, object, "attach it again when that is done",
			"volume %s is being detached from %s", vol.Name, host.Name)
	case held && vol.Attach.Host != host.ID && !r.Takeover:
		return nil, api.Errorf(api.CodeBusy, object,
			phrase("holdfast volume detach %s, or repeat with --takeover, which fences %s", vol.Name,
				v.State.NodeName(vol.Attach.Host)),
			"volume %s is attached to %s in epoch %s", vol.Name, v.State.NodeName(vol.Attach.Host), vol.Epoch)
	}
	silent := time.Duration(0)
	if held && v.Condition(vol.Attach.Host) == raft.NodeDead {
		silent = v.Silent(vol.Attach.Host)
	}
	return &raft.BeginAttach{
		Reason: "taken over by an operator", Silent: silent,
		Volume: vol.ID, Host: host.ID, AttachID: volume.AttachID{UUID: v.NewID()}, AcceptLoss: r.AcceptLoss,
		Takeover: held, After: vol.Epoch,
	}, nil
}

// served waits until the volume serves on the host and says where.
func (s service) served(ctx context.Context, vol *raft.Volume, r api.AttachVolume) (api.Attached, error) {
	object := "volume/" + vol.Name
	answer := api.Attached{Volume: vol.Name, Exports: []api.Export{}}
	check := func(v *control.View) (bool, error) {
		now := v.State.Volumes[vol.ID]
		host := v.State.NodeByName(r.Host)
		if now == nil || now.Attach == nil {
			return false, api.Errorf(api.CodeFailed, object, "attach it again",
				"volume %s was detached meanwhile", vol.Name)
		}
		if host != nil && now.Attach.Host != host.ID && now.Attach.Host.String() != r.Host {
			return false, api.Errorf(api.CodeBusy, object, "", "volume %s was taken over by %s meanwhile",
				vol.Name,
				v.State.NodeName(now.Attach.Host))
		}
		answer.Host, answer.Epoch = v.State.NodeName(now.Attach.Host), uint64(now.Epoch)
		e := v.Serving(now)
		if e == nil || len(e.Exports) == 0 {
			return false, hopeless(v, now)
		}
		answer.Exports, answer.Stages = exports(e), stages(e)
		return true, nil
	}
	if r.NoWait {
		_, _, _, err := s.try(check)
		return answer, err
	}
	err := s.await(ctx, object, "attaching volume "+vol.Name, check)
	if err != nil {
		return api.Attached{}, err
	}
	return answer, nil
}

// hopelessFailures is how many engines in a row must fail before an attach says so; the host goes on
// trying.
const hopelessFailures = 3

// hopeless returns why waiting for an engine makes no sense, nil if it does.
func hopeless(v *control.View, vol *raft.Volume) error {
	host := v.State.NodeName(vol.Attach.Host)
	object := "volume/" + vol.Name
	if v.Condition(vol.Attach.Host) == raft.NodeDead {
		return api.Errorf(api.CodeFailed, object,
			phrase("holdfast volume attach %s --host OTHER --takeover", vol.Name),
			"volume %s is granted to %s, which is silent", vol.Name, host)
	}
	if n, reason := v.Facts.EngineFailures(vol.ID); n >= hopelessFailures {
		return api.Errorf(api.CodeFailed, object, "it is tried again; holdfast health says what is wrong",
			"%d engines of volume %s have failed on %s: %s", n, vol.Name, host, reason)
	}
	return nil
}

// DetachVolume wants a volume detached and waits until it is.
func (s service) DetachVolume(ctx context.Context, name string, w api.Wait) error {
	var cmd *raft.Command
	vol, err := reading(s, func(v *control.View) (vol *raft.Volume, err error) {
		vol, cmd, err = decideDetach(v, name)
		return vol, err
	})
	if err != nil || cmd == nil {
		return err
	}
	object := "volume/" + vol.Name
	for try := 1; ; try++ {
		result, err := s.propose(ctx, object, *cmd)
		if err == nil {
			break
		}
		var refusal *api.Error
		if !errors.As(err, &refusal) || result.Err == nil || result.Err.Code != raft.CodeRetry ||
			try == attachTries {
			return err
		}
		cmd.RequestDetach.Epoch = 0 // the engine was renewed meanwhile; the wish is the same
	}
	if w.NoWait {
		return nil
	}
	return s.await(ctx, object, "detaching volume "+vol.Name, func(v *control.View) (bool, error) {
		now := v.State.Volumes[vol.ID]
		return now == nil || now.Attach == nil || now.Attach.NoGuests(), nil
	})
}

// decideDetach returns the volume to be detached and what is to be committed, nil if nothing is.
func decideDetach(v *control.View, name string) (*raft.Volume, *raft.Command, error) {
	vol, err := findVolume(v.State, name)
	if err != nil {
		return nil, nil, err
	}
	if vol.Attach != nil && vol.Attach.NoGuests() {
		return vol, nil, nil // nobody holds it; what the cluster attached for itself gives way by itself
	}
	return vol, &raft.Command{RequestDetach: &raft.RequestDetach{Volume: vol.ID, Epoch: vol.Epoch}}, nil
}
