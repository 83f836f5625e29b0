package coordinator

import (
	"context"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// scrubSecondsMax bounds a schedule: ten years.
const scrubSecondsMax = 10 * 366 * 24 * 60 * 60

// scrubEvery returns the schedule that a new volume asks for.
func scrubEvery(r api.CreateVolume) (time.Duration, error) {
	if r.ScrubEverySeconds == nil {
		return raft.ScrubEvery, nil
	}
	return scrubTime(r.Name, *r.ScrubEverySeconds)
}

// scrubTime returns a schedule that was given in seconds.
func scrubTime(name string, seconds int64) (time.Duration, error) {
	if seconds < 0 || seconds > scrubSecondsMax {
		return 0, api.Errorf(api.CodeInvalid, "volume/"+name, "0 is never; the default is 30 days",
			"volume %s: a scrub every %d seconds cannot be", name, seconds)
	}
	return time.Duration(seconds) * time.Second, nil
}

// ScrubVolume wants a volume scrubbed and reports how far that is. It joins a scrub that runs.
func (s service) ScrubVolume(ctx context.Context, name string, r api.ScrubVolume,
	emit func(api.Operation) error) error {
	state, _ := s.raft.State()
	vol, err := findVolume(state, name)
	if err != nil {
		return err
	}
	object, request := "volume/"+vol.Name, volume.NewUUID()
	if vol.Filling() {
		return api.Errorf(api.CodeBusy, object, "scrub it when it is cut and attached",
			"volume %s is being filled with what %s holds", vol.Name, vol.Clone.SourceName)
	}
	if r.Request != "" {
		if request, err = volume.ParseUUID(r.Request); err != nil {
			return api.Errorf(api.CodeInvalid, object, "", "scrub of volume %s: request %s", vol.Name, err)
		}
	}
	result, err := s.propose(ctx, object, raft.Command{RequestScrub: &raft.RequestScrub{
		Volume: vol.ID, Request: request, By: raft.ScrubByOperator, Rate: r.RateBytes}})
	if err != nil {
		return err
	}
	return s.followScrub(ctx, vol, result.Scrub, r.Wait, emit)
}

// followScrub reports how far a scrub is until it is over.
func (s service) followScrub(ctx context.Context, vol *raft.Volume, id uint64, w api.Wait,
	emit func(api.Operation) error) error {
	return s.watch(ctx, w, emit, func(v *control.View) (api.Operation, error) {
		return scrubOperation(v, vol, id)
	})
}

// scrubOperation says how far a scrub is, or what it found. vol is the volume as it was when that began.
func scrubOperation(v *control.View, vol *raft.Volume, id uint64) (api.Operation, error) {
	object := "volume/" + vol.Name
	op := api.Operation{Verb: "scrub", Object: object, State: api.OperationRunning, CopyBytes: vol.SizeBytes}
	if vol = v.State.Volumes[vol.ID]; vol == nil || vol.Deleting {
		return op, api.Errorf(api.CodeFailed, object, "", "%s was deleted meanwhile", object)
	}
	running, over := vol.ScrubOf(id)
	switch {
	case over != nil:
		op.State, op.DoneBytes = api.OperationDone, over.Bytes
		op.Scrub, op.Message = showResult(v, vol, over), "volume "+vol.Name+" was scrubbed"
		if !over.Complete {
			op.Message = phrase("the scrub of volume %s was stopped", vol.Name)
		}
	case running == nil:
		return op, api.Errorf(api.CodeFailed, object, phrase("holdfast volume show %s tells of the latest", vol.Name),
			"scrub %d of volume %s is over and a later one took its place", id, vol.Name)
	case vol.Attach == nil || vol.Attach.NoGuests():
		return op, api.Errorf(api.CodeFailed, object, phrase("the scrub goes on when it is attached; "+
			"holdfast volume scrub %s --stop gives it up", vol.Name), "volume %s was detached meanwhile", vol.Name)
	default:
		done, atIt := v.ScrubProgress(vol)
		op.DoneBytes, op.Message = done, phrase("volume %s is being scrubbed", vol.Name)
		if !atIt {
			op.Message = phrase("the engine of volume %s is about to scrub it", vol.Name)
		}
	}
	op.Progress = float64(op.DoneBytes) / float64(op.CopyBytes)
	return op, nil
}

// stopPatience is how long a scrub that was stopped is waited for, so that its engine can say what it
// found last.
const stopPatience = 2 * time.Second

// StopScrub gives a scrub up and returns what it found.
func (s service) StopScrub(ctx context.Context, name string) (*api.ScrubResult, error) {
	state, _ := s.raft.State()
	vol, err := findVolume(state, name)
	if err != nil {
		return nil, err
	}
	result, err := s.propose(ctx, "volume/"+vol.Name, raft.Command{StopScrub: &raft.StopScrub{Volume: vol.ID}})
	if err != nil || result.Scrub == 0 {
		return nil, err
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	giveUp := time.After(stopPatience)
	for {
		var found *api.ScrubResult
		heard, _, reported, err := s.try(func(v *control.View) (bool, error) {
			now := v.State.Volumes[vol.ID]
			if now == nil {
				return true, nil
			}
			_, over := now.ScrubOf(result.Scrub)
			if over == nil {
				return true, nil // another one was stopped since
			}
			found = showResult(v, now, over)
			return over.Complete || vol.Scrub != nil && over.Bytes > vol.Scrub.From, nil
		})
		if reported || err != nil {
			return found, err
		}
		select {
		case <-ctx.Done():
			return found, nil
		case <-giveUp:
			return found, nil
		case <-tick.C:
		case <-heard:
		}
	}
}

// showScrubs puts what is known of a volume's scrubs into the words of the API.
func showScrubs(v *control.View, vol *raft.Volume, out *api.Volume) {
	out.ScrubEverySeconds = int64(vol.ScrubEvery / time.Second)
	if s := vol.Scrub; s != nil {
		done, running := v.ScrubProgress(vol)
		out.Scrub = &api.Scrub{ID: s.ID, By: s.By, At: s.At, RateBytes: s.Rate, Running: running, DoneBytes: done,
			TotalBytes: vol.SizeBytes, Progress: float64(done) / float64(vol.SizeBytes)}
	}
	out.LastScrub, out.StoppedScrub = showResult(v, vol, vol.LastScrub), showResult(v, vol, vol.StoppedScrub)
}

func showResult(v *control.View, vol *raft.Volume, r *raft.ScrubResult) *api.ScrubResult {
	if r == nil {
		return nil
	}
	out := &api.ScrubResult{
		ID: r.ID, By: r.By, At: r.At, FinishedAt: r.FinishedAt, Complete: r.Complete, Bytes: r.Bytes,
		Bad: r.Found.Bad(), Healed: r.Found.Healed(), Diverged: r.Found.Diverged, Unreadable: r.Found.Unreadable,
		Legs: []api.ScrubbedLeg{}, Ranges: []api.ByteRange{},
	}
	for _, l := range r.Found.Legs {
		shown := api.ScrubbedLeg{ID: l.Leg.String(), Bad: l.Bad, Healed: l.Healed}
		if leg := vol.Leg(l.Leg); leg != nil {
			shown.Node = v.State.NodeName(leg.Node)
		}
		out.Legs = append(out.Legs, shown)
	}
	for _, d := range r.Found.Ranges {
		out.Ranges = append(out.Ranges, api.ByteRange{Offset: d.Off, Length: d.Len})
	}
	return out
}
