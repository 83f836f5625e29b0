package coordinator

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// DrillDomain begins a fire drill of a domain. The controllers take it to its end.
func (s service) DrillDomain(ctx context.Context, name string, r api.DrillDomain) (api.Drill, error) {
	request, err := drillRequest(name, r)
	if err != nil {
		return api.Drill{}, err
	}
	r.Request = request.String()
	if d, found := s.requested(request); found {
		return d, nil
	}
	cmd, err := reading(s, func(v *control.View) (*raft.Command, error) { return decideDrill(v, name, r) })
	if err != nil {
		return api.Drill{}, err
	}
	if _, err := s.propose(ctx, "domain/"+name, *cmd); err != nil {
		return api.Drill{}, err
	}
	if d, found := s.requested(request); found {
		return d, nil
	}
	return api.Drill{}, api.Errorf(api.CodeFailed, "domain/"+name, "holdfast drill list",
		"domain %s: the drill that began is not remembered any more", name)
}

// drillRequest returns the id of a request, a fresh one if it brings none.
func drillRequest(name string, r api.DrillDomain) (volume.UUID, error) {
	if r.Request == "" {
		return volume.NewUUID(), nil
	}
	request, err := volume.ParseUUID(r.Request)
	if err != nil || request.IsZero() {
		return request, api.Errorf(api.CodeInvalid, "domain/"+name, "", "drill of domain %s: request %q is no id", name,
			r.Request)
	}
	return request, nil
}

// requested returns the drill that a request began, false if none did.
func (s service) requested(request volume.UUID) (out api.Drill, found bool) {
	s.look(func(v *control.View) {
		i := slices.IndexFunc(v.State.Drills, func(d *raft.Drill) bool { return d.Request == request })
		if found = i >= 0; found {
			out = showDrill(v, v.State.Drills[i])
		}
	})
	return out, found
}

// decideDrill decides where a domain is moved as a drill, if nothing is amiss.
func decideDrill(v *control.View, name string, r api.DrillDomain) (*raft.Command, error) {
	d, err := findDomain(v.State, name)
	if err != nil {
		return nil, err
	}
	object := "domain/" + name
	if !d.Running {
		return nil, api.Errorf(api.CodeInvalid, object, "holdfast domain start "+name,
			"domain %s is stopped: a drill moves a guest that runs", name)
	}
	if why := v.UnfitForDrill(d); why != "" {
		return nil, api.Errorf(api.CodeRefused, object, "holdfast health says what is wrong and what happens next",
			"domain %s is not moved for a drill now: %s", name, why)
	}
	to := v.ChooseHost(d.Spec, d.Host)
	if r.To != "" {
		if to, err = findHost(v, r.To); err != nil {
			return nil, err
		}
	}
	if to == nil {
		return nil, noHost(v, d)
	}
	if why := v.UnfitHostForDrill(d, to.ID, r.Back); why != "" {
		return nil, api.Errorf(api.CodeRefused, object, "holdfast image show says how far it is; --to names "+
			"another host", "domain %s is not moved for a drill now: %s", name, why)
	}
	request, err := drillRequest(name, r)
	if err != nil {
		return nil, err
	}
	cmd := v.BeginDrill(d, to.ID, r.Back, request)
	return &cmd, nil
}

// Drills lists the drills that are remembered, oldest first.
func (s service) Drills(context.Context) ([]api.Drill, error) {
	return reading(s, func(v *control.View) ([]api.Drill, error) {
		out := []api.Drill{}
		for _, d := range v.State.Drills {
			out = append(out, showDrill(v, d))
		}
		return out, nil
	})
}

// Drill shows one drill.
func (s service) Drill(_ context.Context, id string) (api.Drill, error) {
	return reading(s, func(v *control.View) (api.Drill, error) {
		if n, err := strconv.ParseUint(id, 10, 64); err == nil {
			if d := v.State.DrillByID(n); d != nil {
				return showDrill(v, d), nil
			}
		}
		return api.Drill{}, api.Errorf(api.CodeNotFound, "drill/"+id,
			"holdfast drill list shows those that are remembered", "there is no drill %s", id)
	})
}

// notChecked is what a drill that moves the guest itself cannot tell.
func notChecked() []string {
	return []string{
		"what the guest makes of its disk: a file system or a database that it recovers, a service that it offers",
		"blocks that nothing has read: holdfast volume scrub compares all legs",
		"a host that is dead or hangs: one that lives hears that it lost the guest, and ends it by itself",
	}
}

// showDrill puts a drill into the words of the API.
func showDrill(v *control.View, d *raft.Drill) api.Drill {
	out := api.Drill{
		ID: strconv.FormatUint(d.ID, 10), Kind: d.Kind, Object: d.Object, State: drillState(d), Message: d.Message,
		Waits: v.DrillWaits(d), Back: d.Back, StartedAt: d.At, Volumes: []string{}, Moves: []api.DrillMove{},
		Checks: []api.DrillCheck{}, NotChecked: notChecked(),
	}
	if !d.Running() {
		out.EndedAt = &d.EndedAt
	}
	for _, vol := range d.Volumes {
		out.Volumes = append(out.Volumes, vol.Name)
	}
	for _, m := range d.Moves {
		out.Moves = append(out.Moves, showMove(v, m))
	}
	for _, c := range d.Checks {
		out.Checks = append(out.Checks, api.DrillCheck(c))
	}
	return out
}

func drillState(d *raft.Drill) string {
	return string(cmp.Or(d.Result, raft.DrillResult(api.OperationRunning)))
}

// showMove shows one move of a drill. While it goes on its operation knows more than the drill.
func showMove(v *control.View, m raft.DrillMove) api.DrillMove {
	out := api.DrillMove{Operation: strconv.FormatUint(m.Operation, 10), From: m.From, To: m.To, Waited: m.Waited,
		State:  string(cmp.Or(m.Result, raft.OperationResult(api.OperationRunning))),
		Stages: []api.Stage{}}
	firstRead, total := control.DrillBounds(m)
	out.BoundSeconds, out.TotalBoundSeconds = firstRead.Seconds(), total.Seconds()
	stages := m.Stages
	if o := v.State.OperationByID(m.Operation); o != nil && o.Running() {
		stages = v.Progress(o).Stages
	}
	for _, s := range stages {
		out.Stages = append(out.Stages, api.Stage{Name: s.Name, Seconds: s.At.Seconds()})
	}
	if at, ok := raft.StageAt(stages, raft.StageFirstRead); ok {
		out.FirstReadSeconds = at.Round(time.Microsecond).Seconds()
		out.TotalSeconds = (at + v.Timing.DeadAfter).Round(time.Microsecond).Seconds()
	}
	return out
}

// lastDrill sums up the latest of the drills that are meant, nil if there is none.
func lastDrill(s *raft.State, meant func(*raft.Drill) bool) *api.LastDrill {
	d := s.LatestDrill(meant)
	if d == nil {
		return nil
	}
	out := &api.LastDrill{ID: strconv.FormatUint(d.ID, 10), Kind: d.Kind, State: drillState(d), StartedAt: d.At,
		From: d.Moves[0].From, To: d.Moves[0].To}
	if at, ok := raft.StageAt(d.Moves[0].Stages, raft.StageFirstRead); ok {
		out.FirstReadSeconds = at.Round(time.Microsecond).Seconds()
	}
	if worked := s.LatestDrill(func(d *raft.Drill) bool { return d.Worked() && meant(d) }); worked != nil {
		out.WorkedAt = &worked.At
	}
	return out
}
