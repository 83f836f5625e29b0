package coordinator

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// CloneVolumes makes copies of volumes and reports how far they are until all of them were cut and are detached. The
// same request is made once, whoever leads; and one that asks for what is being filled already, in the same way,
// watches that: so whoever interrupted the watching watches again by asking again.
func (s service) CloneVolumes(ctx context.Context, r api.CloneVolumes, emit func(api.Operation) error) error {
	request := volume.NewUUID()
	if r.Request != "" {
		parsed, err := volume.ParseUUID(r.Request)
		if err != nil || parsed.IsZero() {
			return api.Errorf(api.CodeInvalid, "cluster", "", "clones: request %q is no UUID", r.Request)
		}
		request = parsed
	}
	ids := make([]volume.ID, len(r.Clones))
	for i, c := range r.Clones {
		ids[i] = cloneID(request, c.Name)
	}
	var plan *clonePlan
	err := s.reserveAll(ids, func(v *control.View, set take) (err error) {
		plan, err = planClones(v, r, request, set)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.makeClones(ctx, plan.creates); err != nil {
		return err
	}
	return s.watch(ctx, r.Wait, emit, func(v *control.View) (api.Operation, error) {
		return cloneOperation(v, plan.clones)
	})
}

// cloneID names a clone by the request that makes it, so that it is made once.
func cloneID(request volume.UUID, name string) volume.ID {
	sum := sha256.Sum256(append(request[:], name...))
	var id volume.UUID
	copy(id[:], sum[:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return volume.ID{UUID: id}
}

// makeClones commits to clones, one after the other: nothing is filled before all of a group are there. If one is
// refused, those that were made for it are deleted again.
func (s service) makeClones(ctx context.Context, creates []*raft.CreateVolume) error {
	for i, cmd := range creates {
		_, err := s.propose(ctx, "volume/"+cmd.Name, raft.Command{CreateVolume: cmd})
		var answer *api.Error
		isDoubtful := errors.As(err, &answer) && answer.Code == api.CodeUnknown
		s.settle(cmd.Legs, isDoubtful)
		if err == nil {
			continue
		}
		for _, unmade := range creates[i+1:] {
			s.settle(unmade.Legs, false)
		}
		if isDoubtful || answer != nil && answer.Code == api.CodeNoLeader {
			return err // the same request is made again, and goes on from here
		}
		return s.unmakeClones(context.WithoutCancel(ctx), creates[:i], answer)
	}
	return nil
}

// unmakeClones deletes clones whose group does not come about, and returns why it does not, with what became of them.
func (s service) unmakeClones(ctx context.Context, made []*raft.CreateVolume, why *api.Error) error {
	told := *why
	for _, cmd := range made {
		_, err := s.propose(ctx, "volume/"+cmd.Name, raft.Command{DeleteVolume: &raft.DeleteVolume{Volume: cmd.ID}})
		if err != nil {
			told.Message += phrase("; volume %s, which had been made for it, is still there (%s): holdfast volume "+
				"delete %s", cmd.Name, err, cmd.Name)
			continue
		}
		told.Message += phrase("; volume %s, which had been made for it, is deleted again", cmd.Name)
	}
	return &told
}

// planned is one clone that was asked for.
type planned struct {
	id   volume.ID
	name string
}

// clonePlan is what a request for clones comes to.
type clonePlan struct {
	group   volume.UUID
	clones  []planned            // all of them, in the order of the request
	creates []*raft.CreateVolume // for those that are not there yet
}

// planClones checks a request as a whole and finds places for all that is to be made. Nothing is decided when anything
// of it is wrong.
func planClones(v *control.View, r api.CloneVolumes, request volume.UUID, set take) (*clonePlan, error) {
	sources, err := cloneSources(v, r)
	if err != nil {
		return nil, err
	}
	plan := &clonePlan{group: request}
	if group := groupToJoin(v, r, sources); !group.IsZero() {
		plan.group = group
	}
	var missing []int
	for i, c := range r.Clones {
		there := v.State.VolumeByName(c.Name)
		if there == nil {
			missing = append(missing, i)
			plan.clones = append(plan.clones, planned{cloneID(plan.group, c.Name), c.Name})
			continue
		}
		if err := plan.has(r, there, sources[i], c); err != nil {
			return nil, err
		}
		plan.clones = append(plan.clones, planned{there.ID, c.Name})
	}
	if len(missing) == 0 {
		return plan, nil
	}
	if n := len(v.State.CloneGroup(plan.group)); n+len(missing) > len(r.Clones) {
		return nil, api.Errorf(api.CodeExists, "volume/"+r.Clones[missing[0]].Name, "clone it by a command of its own",
			"volume %s: the others that are named exist already, as clones that are cut together with another one",
			r.Clones[missing[0]].Name)
	}
	if err := fillable(v, sources); err != nil {
		return nil, err
	}
	for _, i := range missing {
		cmd, err := planClone(v, plan.clones[i].id, r.Clones[i], sources[i])
		if err != nil {
			return nil, err
		}
		cmd.Clone = &raft.CloneOf{Source: sources[i].ID, Group: plan.group, Of: len(r.Clones), Rate: r.RateBytes}
		set(cmd.ID, cmd.Legs, cmd.Layout.StoreBytes(cmd.SizeBytes))
		plan.creates = append(plan.creates, cmd)
	}
	return plan, nil
}

// cloneSources returns the sources of the clones in their order, and checks what needs no look at those.
func cloneSources(v *control.View, r api.CloneVolumes) ([]*raft.Volume, error) {
	if n := len(r.Clones); n == 0 || n > raft.CloneGroupMax {
		return nil, api.Errorf(api.CodeInvalid, "cluster", "", "%d clones were asked for, 1 to %d can be", n,
			raft.CloneGroupMax)
	}
	if !v.State.Uses(raft.VersionClones) {
		return nil, api.Errorf(api.CodeBusy, "volume/"+r.Clones[0].Name, "holdfast cluster status",
			"clones need cluster version %d, the cluster is at %d", raft.VersionClones, v.State.Version)
	}
	var sources []*raft.Volume
	for i, c := range r.Clones {
		object := "volume/" + c.Name
		if err := volume.CheckName("volume", c.Name); err != nil {
			return nil, api.Errorf(api.CodeInvalid, object, "", "%s", err)
		}
		if r.RateBytes < 0 {
			return nil, api.Errorf(api.CodeInvalid, object, "0 is the default", "volume %s: it cannot be filled at a "+
				"rate of %d bytes a second", c.Name, r.RateBytes)
		}
		source, err := findVolume(v.State, c.Source)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(r.Clones[:i], func(o api.NewClone) bool { return o.Name == c.Name }) {
			return nil, api.Errorf(api.CodeInvalid, object, "choose another name", "two clones are to be called %s",
				c.Name)
		}
		if slices.Contains(sources, source) {
			return nil, api.Errorf(api.CodeInvalid, object, "clone it once more by another command",
				"two clones of volume %s are asked for at once", source.Name)
		}
		sources = append(sources, source)
	}
	return sources, nil
}

// groupToJoin returns the group of clones that are being filled already as a request wants it, zero if there is none.
func groupToJoin(v *control.View, r api.CloneVolumes, sources []*raft.Volume) volume.UUID {
	for i, c := range r.Clones {
		there := v.State.VolumeByName(c.Name)
		if there != nil && !there.Deleting && there.Filling() && there.Clone.Source == sources[i].ID {
			return there.Clone.Group
		}
	}
	return volume.UUID{}
}

// has returns why a volume that is there is not the clone that is asked for, nil if it is.
func (p *clonePlan) has(r api.CloneVolumes, there, source *raft.Volume, c api.NewClone) error {
	object := "volume/" + there.Name
	exists := func(format string, args ...any) error {
		return api.Errorf(api.CodeExists, object, "choose another name", "volume %s exists already%s", there.Name,
			phrase(format, args...))
	}
	clone := there.Clone
	switch layout, err := volume.ParseLayout(c.Layout); {
	case there.Deleting:
		return exists(": it is being deleted")
	case clone == nil:
		return exists("")
	case clone.Source != source.ID || clone.Group != p.group:
		return exists(", as a clone of volume %s%s", clone.SourceName, cutAt(clone))
	case clone.Of != len(r.Clones):
		return exists(", as one of %d clones that are cut together, and %d are named", clone.Of, len(r.Clones))
	case c.Layout != "" && (err != nil || layout != there.Layout):
		return exists(", as a clone with the layout %s", there.Layout)
	}
	return nil
}

func cutAt(c *raft.Clone) string {
	if c.CutAt.IsZero() {
		return ", which is being filled"
	}
	return ", cut at " + c.CutAt.UTC().Format(time.DateTime) + " UTC"
}

// fillable returns why volumes cannot all be sources of clones that are cut at one moment, nil if they can.
func fillable(v *control.View, sources []*raft.Volume) error {
	var first *raft.Volume
	for _, source := range sources {
		object := "volume/" + source.Name
		switch a := source.Attach; {
		case source.Deleting:
			return api.Errorf(api.CodeBusy, object, "", "volume %s is being deleted", source.Name)
		case source.Phase == volume.PhaseProvisioning:
			return api.Errorf(api.CodeBusy, object, "wait until it is made", "volume %s is still being provisioned",
				source.Name)
		case source.Phase == volume.PhaseFrozen:
			return api.Errorf(api.CodeRefused, object, phrase("holdfast why volume/%s", source.Name),
				"volume %s is frozen: nothing is read from it", source.Name)
		case source.Filling():
			return api.Errorf(api.CodeBusy, object, "wait until it is cut", "volume %s is itself being filled with "+
				"what %s holds", source.Name, source.Clone.SourceName)
		case a == nil || a.NoGuests():
		case first == nil:
			first = source
		case first.Attach.Host != a.Host:
			return api.Errorf(api.CodeBusy, object, "clone them one by one, or move one to the other's host",
				"volume %s is attached on %s and volume %s on %s: clones are cut at one moment on one host", first.Name,
				v.State.NodeName(first.Attach.Host), source.Name, v.State.NodeName(a.Host))
		}
	}
	return nil
}

// planClone finds places for the legs of a clone, which is as its source but for what was asked for.
func planClone(v *control.View, id volume.ID, c api.NewClone, source *raft.Volume) (*raft.CreateVolume, error) {
	or := func(asked, its string) string {
		if asked != "" {
			return asked
		}
		return its
	}
	seconds := int64(source.ScrubEvery / time.Second)
	return planVolume(v, id, api.CreateVolume{
		Name: c.Name, SizeBytes: source.SizeBytes, Layout: or(c.Layout, source.Layout.String()),
		Durability:    or(c.Durability, string(source.Durability)),
		UnflushedLoss: or(c.UnflushedLoss, string(source.UnflushedLoss)), LegsOn: c.LegsOn,
		Spread: or(c.Spread, string(source.Spread)), ApartFrom: c.ApartFrom, ScrubEverySeconds: &seconds,
	})
}

// cloneOperation says how far clones are that are cut at one moment.
func cloneOperation(v *control.View, clones []planned) (api.Operation, error) {
	op := api.Operation{Verb: "clone", Object: "volume/" + clones[0].name, State: api.OperationRunning}
	var names, waits []string
	var rest int64
	left := len(clones)
	for _, c := range clones {
		vol := v.State.Volumes[c.id]
		if vol == nil || vol.Deleting {
			return op, api.Errorf(api.CodeFailed, "volume/"+c.name, "", "volume %s was deleted meanwhile", c.name)
		}
		names = append(names, vol.Name)
		op.CopyBytes += vol.SizeBytes
		shown := showClone(v, vol)
		op.DoneBytes += int64(shown.Progress * float64(vol.SizeBytes))
		rest += shown.RestBytes
		switch {
		case shown.Error != "":
			waits = append(waits, shown.Error)
		case shown.Waits != "":
			waits = append(waits, shown.Waits)
		case vol.Filling():
		case vol.Attach != nil && vol.Attach.Filling:
			waits = append(waits, phrase("volume %s is cut, and being detached", vol.Name))
		default:
			left--
		}
	}
	op.Progress = float64(op.DoneBytes) / float64(op.CopyBytes)
	what := "volume " + names[0]
	if len(names) > 1 {
		what = "volumes " + strings.Join(names, ", ")
	}
	switch {
	case left == 0:
		op.State, op.Message = api.OperationDone, endOfClones(what, v.State.Volumes[clones[0].id].Clone)
	case len(waits) > 0:
		op.Message = waits[0]
	default:
		op.Message = phrase("%s: filled beside the guest, %s left", what, volume.FormatSize(rest))
	}
	return op, nil
}

// endOfClones tells of clones that were cut.
func endOfClones(what string, c *raft.Clone) string {
	how := "as after a power cut"
	if c.Frozen {
		how = "with the guest's file systems written back"
	}
	return phrase("%s: cut at %s UTC, %s", what, c.CutAt.UTC().Format(time.DateTime), how)
}

// cloneOperations lists the groups of clones that are being filled.
func cloneOperations(v *control.View) []api.Operation {
	var out []api.Operation
	seen := map[volume.UUID]bool{}
	for _, vol := range v.State.SortedVolumes() {
		if !vol.Filling() || vol.Deleting || seen[vol.Clone.Group] {
			continue
		}
		seen[vol.Clone.Group] = true
		var clones []planned
		for _, o := range v.State.CloneGroup(vol.Clone.Group) {
			clones = append(clones, planned{o.ID, o.Name})
		}
		if op, err := cloneOperation(v, clones); err == nil {
			out = append(out, op)
		}
	}
	return out
}

// showClone says what a volume is a clone of, nil for one that is none.
func showClone(v *control.View, vol *raft.Volume) *api.Clone {
	c := vol.Clone
	if c == nil {
		return nil
	}
	out := &api.Clone{Source: c.SourceName, SourceID: c.Source.String(), Group: c.Group.String(), By: c.By,
		RateBytes: c.Rate, Frozen: c.Frozen, State: api.CloneFilling}
	if !vol.Filling() {
		at := c.CutAt.Round(0)
		out.State, out.Progress, out.CutAt = api.CloneCut, 1, &at
		return out
	}
	out.Waits = v.FillingWaits(vol)
	if copied := v.CloneCopy(vol); copied != nil {
		out.Progress, out.RestBytes, out.Error = copied.Progress(), copied.RestBytes, copied.Error
	}
	return out
}
