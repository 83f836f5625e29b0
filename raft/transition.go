package raft

import "github.com/holdfast-storage/holdfast/volume"

// legTransition is one legal change of a leg's state.
type legTransition struct {
	from, to volume.LegState
	why      string
}

// legTransitions returns every legal change of a leg's state; what is absent is refused. Lost and
// quarantined legs never come back: ReplaceLeg puts another in their place.
func legTransitions() []legTransition {
	return []legTransition{
		{volume.LegRebuilding, volume.LegInSync, "all legs of a new volume are blank alike; or it is copied"},
		{volume.LegStale, volume.LegInSync, "its copy is complete"},
		{volume.LegInSync, volume.LegStale, "it left the in-sync list"},
		{volume.LegInSync, volume.LegLost, "its node says that its data is gone"},
		{volume.LegStale, volume.LegLost, "its node says that its data is gone"},
		{volume.LegRebuilding, volume.LegLost, "its node says that its data is gone"},
		{volume.LegQuarantined, volume.LegLost, "its node says that its data is gone"},
		{volume.LegInSync, volume.LegQuarantined, "its label contradicts raft"},
		{volume.LegStale, volume.LegQuarantined, "its label contradicts raft"},
		{volume.LegRebuilding, volume.LegQuarantined, "its label contradicts raft"},
	}
}

// setLegState is the only way in which a leg's state changes.
func setLegState(l *Leg, to volume.LegState) *Refusal {
	for _, tr := range legTransitions() {
		if tr.from == l.State && tr.to == to {
			l.State = to
			return nil
		}
	}
	return invalid("leg %s cannot go from %s to %s", l.ID, l.State, to)
}

// phaseTransition is one legal change of a volume's phase.
type phaseTransition struct {
	from, to volume.Phase
	why      string
}

// phaseTransitions returns every legal change of a volume's phase; what is absent is refused. A
// volume that breaks the invariants is frozen from any phase, see freezeFlawed; only an operator's word ends it.
func phaseTransitions() []phaseTransition {
	return []phaseTransition{
		{volume.PhaseProvisioning, volume.PhaseDetached, "all legs are provisioned"},
		{volume.PhaseDetached, volume.PhaseAttaching, "an epoch was granted"},
		{volume.PhaseAttaching, volume.PhaseAttaching, "the next epoch was granted, this one is burnt"},
		{volume.PhaseAttached, volume.PhaseAttaching, "the next epoch was granted to take over"},
		{volume.PhaseAttaching, volume.PhaseAttached, "the grant is active"},
		{volume.PhaseAttaching, volume.PhaseDetached, "the attachment was given up before it was active"},
		{volume.PhaseAttached, volume.PhaseDetached, "the attachment ended"},
		{volume.PhaseAttaching, volume.PhaseFrozen, "a label is ahead of raft"},
		{volume.PhaseAttached, volume.PhaseFrozen, "a label is ahead of raft"},
		{volume.PhaseDetached, volume.PhaseFrozen, "labels of its legs contradict each other"},
		{volume.PhaseFrozen, volume.PhaseDetached, "an operator lets it go on"},
	}
}

// setPhase is the only way in which a volume's phase changes.
func setPhase(v *Volume, to volume.Phase) *Refusal {
	for _, tr := range phaseTransitions() {
		if tr.from == v.Phase && tr.to == to {
			v.Phase = to
			return nil
		}
	}
	return invalid("volume %s cannot go from %s to %s", v.Name, v.Phase, to)
}

// usable reports whether the data of a leg can count at all: it is neither gone nor contradicted.
func (l *Leg) usable() bool {
	return l.State != volume.LegLost && l.State != volume.LegQuarantined
}
