package coordinator

import (
	"context"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
)

// Plan says what a verb would do. It decides with the function that the verb itself decides with, and lets
// what was decided happen to a copy of the state.
func (s service) Plan(_ context.Context, r api.PlanRequest) (api.Plan, error) {
	if !s.raft.Leading() {
		return api.Plan{}, notLeading()
	}
	return reading(s, func(v *control.View) (api.Plan, error) {
		object, commands, err := decide(v, r)
		if err != nil {
			return api.Plan{}, err
		}
		plan, refusal := v.Foresee(commands...)
		if refusal != nil {
			return api.Plan{}, refused(object, refusal)
		}
		return showPlan(r.Verb, plan), nil
	})
}

// decide returns what a verb would have committed.
func decide(v *control.View, r api.PlanRequest) (object string, commands []raft.Command, err error) {
	var cmd *raft.Command
	switch r.Verb {
	case api.PlanNodeReplace:
		_, cmd, err = decideReplace(v, r.Name, r.New)
		object = "node/" + r.Name
	case api.PlanNodeRemove:
		_, cmd, err = decideRemove(v, r.Name)
		object = "node/" + r.Name
	case api.PlanNodeDrain:
		_, cmd, err = decideDrain(v, r.Name)
		object = "node/" + r.Name
	case api.PlanVolumeDelete:
		_, cmd, err = decideDelete(v, r.Name)
		object = "volume/" + r.Name
	case api.PlanVolumeDetach:
		_, cmd, err = decideDetach(v, r.Name)
		object = "volume/" + r.Name
	case api.PlanVolumePromote:
		_, cmd, err = decidePromote(v, r.Name, api.Promote{Leg: r.Leg, Reason: r.Reason, HostIsOff: r.HostIsOff})
		object = "volume/" + r.Name
	case api.PlanVolumeAttach:
		cmd, err = decideAttach(v, r.Name, attachment(r))
		object = "volume/" + r.Name
	case api.PlanDomainFailover:
		cmd, err = decideFailover(v, r.Name, r.Host)
		object = "domain/" + r.Name
	case api.PlanDomainMigrate:
		cmd, err = decideMigration(v, r.Name, r.Host)
		object = "domain/" + r.Name
	case api.PlanDomainDrill:
		cmd, err = decideDrill(v, r.Name, api.DrillDomain{To: r.Host})
		object = "domain/" + r.Name
	case api.PlanRebalance:
		cmd, err = decideRebalance(v)
		object = "cluster"
	default:
		err = api.Errorf(api.CodeInvalid, "cluster", "", "verb %q has no plan", r.Verb)
	}
	if cmd != nil && err == nil {
		commands = append(commands, *cmd)
	}
	return object, commands, err
}

// attachment is the attach that a plan asks about.
func attachment(r api.PlanRequest) api.AttachVolume {
	return api.AttachVolume{Host: r.Host, Takeover: r.Takeover, AcceptLoss: r.AcceptLoss}
}

// decideAttach decides on an attach by name, nil if the host holds the volume already.
func decideAttach(v *control.View, name string, r api.AttachVolume) (*raft.Command, error) {
	vol, err := findVolume(v.State, name)
	if err != nil {
		return nil, err
	}
	begin, err := planAttach(v, vol.ID, name, r)
	if begin == nil || err != nil {
		return nil, err
	}
	return &raft.Command{BeginAttach: begin}, nil
}

func showPlan(verb string, p control.Plan) api.Plan {
	out := api.Plan{Verb: verb, Steps: []api.PlanStep{}, Bytes: p.Bytes, Seconds: p.Time.Seconds(),
		Risks: append([]string{}, p.Risks...)}
	for _, s := range p.Steps {
		out.Steps = append(out.Steps, api.PlanStep{Action: string(s.Action), Object: s.Object, From: s.From, To: s.To,
			Bytes: s.Bytes, InSync: s.InSync, Legs: s.Legs, Note: s.Note})
	}
	return out
}
