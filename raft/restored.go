package raft

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/volume"
)

// Restoration says how a cluster goes on from an older state.
type Restoration struct {
	Incarnation volume.ClusterID // a fresh one
	Generation  uint32           // above every generation that any node or leg has seen
	At          time.Time
	From        string // what it is restored from, for the event
}

// Was reports whether an incarnation is the cluster's present one or one before it.
func (s *State) Was(incarnation volume.ClusterID) bool {
	return incarnation == s.Cluster.Incarnation || slices.Contains(s.Former, incarnation)
}

// Restored returns the state of a cluster that goes on from an older one, which is left as it is. What
// happened since is forgotten, so nothing of it is relied on (protocol §1.7.11):
//
//   - the incarnation and the generation are new ones: no secret, epoch or configuration is used twice, and
//     coordinators of before are refused;
//   - every attachment is void, and every volume is VerifyAll;
//   - every domain is stopped: where its guest ran last is not known;
//   - legs that were lost or quarantined stay so, and are not waited for;
//   - join tokens that nobody had used are void: they may have been since;
//   - API tokens, nodes and the exports of volumes are those of then: what was revoked or removed since is an
//     operator's to take back again, and events name them;
//   - legs and volumes that are on disks and not in the older state are taken in (FromLegs), and no volume goes on
//     before an operator said that all were found.
//
// Volumes whose rows cannot be are frozen.
func Restored(old *State, r Restoration) (*State, error) {
	switch {
	case r.Incarnation.IsZero() || old.Was(r.Incarnation):
		return nil, errors.New("restore the coordinators: a fresh incarnation is needed")
	case r.Generation <= old.Cluster.RestoreGen:
		return nil, fmt.Errorf("restore the coordinators: generation %d is not above %d, which they had",
			r.Generation, old.Cluster.RestoreGen)
	case old.Cluster.ID.IsZero():
		return nil, errors.New("restore the coordinators: the state is of no cluster")
	}
	text, err := json.Marshal(old)
	if err != nil {
		return nil, fmt.Errorf("restore the coordinators: %w", err)
	}
	s := NewState()
	if err := decodeStrict(text, s); err != nil {
		return nil, fmt.Errorf("restore the coordinators: %w", err)
	}
	s.Version = VersionLatest // there is no other coordinator to wait for
	s.Former = append(s.Former, s.Cluster.Incarnation)
	s.Cluster.Incarnation, s.Cluster.RestoreGen, s.Cluster.FromLegs = r.Incarnation, r.Generation, true
	t := &txn{state: s, at: r.At}
	t.event(SeverityError, "cluster", "restored", "the coordinators go on from %s, as generation %d: every attachment "+
		"is void, and every leg of a volume has to answer before it serves", r.From, r.Generation)
	t.restoreAccess()
	for _, v := range s.SortedVolumes() {
		if v.flaw() != "" {
			if v.Phase != volume.PhaseFrozen {
				t.freezeFlawed(v)
			}
			v = s.Volumes[v.ID]
		}
		t.restoreVolume(v)
		t.restoreClone(v)
	}
	for _, d := range s.SortedDomains() {
		d.Running, d.Host, d.Paused = false, volume.NodeID{}, false
		d.Boots = guest.Pins{}
		d.Run = max(d.Run, uint64(r.Generation)<<32) + 1 // above every run that a host may remember
		t.superseded("domain/"+d.Name, OperationCancelled, "the coordinators were restored")
	}
	return s, nil
}

// restoreAccess tells who has access again, as far as what was taken back since is not known.
func (t *txn) restoreAccess() {
	var void, tokens, nodes, exports []string
	for _, j := range t.state.SortedJoins() {
		if j.Used.IsZero() {
			void = append(void, j.ID)
			delete(t.state.Joins, j.ID)
		}
	}
	for _, token := range t.state.SortedTokens() {
		tokens = append(tokens, fmt.Sprintf("%s (%s)", token.Name, token.Role))
	}
	for _, n := range t.state.SortedNodes() {
		nodes = append(nodes, n.Name)
	}
	for _, v := range t.state.SortedVolumes() {
		for _, x := range v.Exports {
			exports = append(exports, fmt.Sprintf("%s (%s at %s)", v.Name, x.Kind, x.Address))
		}
	}
	if len(void) > 0 {
		t.event(SeverityWarning, "cluster", "join_tokens_void", "join tokens that nobody had used are void, for they "+
			"may have been used since: %s", fewOf(void))
	}
	if len(tokens) > 0 {
		t.event(SeverityWarning, "cluster", "tokens_restored", "these API tokens hold again: %s; revoke again with "+
			"holdfast token revoke what was revoked since", fewOf(tokens))
	}
	if len(nodes) > 0 {
		t.event(SeverityWarning, "cluster", "nodes_restored", "these nodes are members again: %s; remove again with "+
			"holdfast node remove what was removed since", fewOf(nodes))
	}
	if len(exports) > 0 {
		t.event(SeverityWarning, "cluster", "exports_restored", "these exports of volumes hold again, with the "+
			"secrets of then: %s; set again with holdfast volume export what was changed or taken away since",
			fewOf(exports))
	}
}

// fewOf joins names, the first of them if there are many.
func fewOf(names []string) string {
	const most = 50
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// restoreClone freezes a clone that was being filled when the older state was made: it may have been cut since, and
// hold what a guest wrote. So it is not filled, and an operator has to say that it is good, or delete it.
func (t *txn) restoreClone(v *Volume) {
	if !v.Filling() || v.Deleting || v.Phase == volume.PhaseFrozen {
		return
	}
	v = t.edit(v)
	if v.Phase == volume.PhaseProvisioning { // which cannot be frozen: it has no list of legs
		t.decidedClone(v)
		t.event(SeverityError, "volume/"+v.Name, "clone_unknown", "volume %s was to be filled with what volume %s "+
			"holds when the coordinators' state was saved, and is not filled any more: it may hold all of it, some or "+
			"nothing", v.Name, v.Clone.SourceName)
		return
	}
	v.FrozenWhy = "it was being filled with what volume " + v.Clone.SourceName + " holds when the coordinators' " +
		"state was saved: whether it was cut since is not known"
	v.Phase = volume.PhaseFrozen
	t.event(SeverityError, "volume/"+v.Name, "frozen", "volume %s is frozen: %s", v.Name, v.FrozenWhy)
}

// restoreVolume makes a volume one of which only the legs know more. What an operator or a report once said of a
// leg may be overtaken: the leg that a volume was to go on from may have left since, and one that was set back may
// have been copied.
func (t *txn) restoreVolume(v *Volume) {
	v.VerifyAll, v.Clean, v.Scrub, v.Promoted = true, false, nil, volume.LegID{}
	if v.Phase == volume.PhaseProvisioning {
		v.Rebuilt = true // it may have been made, used and changed since
	}
	if v.Attach != nil {
		v.LastAttach, v.Attach = v.Attach.ID, nil
	}
	t.superseded("volume/"+v.Name, OperationCancelled, "the coordinators were restored")
	if v.Phase == volume.PhaseAttaching || v.Phase == volume.PhaseAttached {
		v.Phase = volume.PhaseDetached // without a word of the host, so not by setPhase
	}
	for _, l := range v.Legs {
		l.Shown, l.SeenCfg, l.Instance = nil, 0, 0
		if !v.inSync(l.ID) {
			l.SetBack = false // a list that names it is newer than that, and outside every list it is copied in full
		}
		if !l.usable() {
			l.GivenUp = true // it never came back, whatever happened since
		}
	}
}

// FoundAnew returns the state of a cluster of which nothing is left but its name and what lies on the disks of
// its storage nodes.
func FoundAnew(name string, id volume.ClusterID, r Restoration) (*State, error) {
	if r.Incarnation.IsZero() || r.Generation == 0 {
		return nil, errors.New("restore the coordinators: a fresh incarnation and a generation above 0 are needed")
	}
	if err := volume.CheckName("cluster", name); err != nil || id.IsZero() {
		return nil, errors.Join(errors.New("restore the coordinators: the cluster needs its name and id"), err)
	}
	s := NewState()
	s.Version = VersionLatest
	s.Cluster = Cluster{Name: name, ID: id, Incarnation: r.Incarnation, RestoreGen: r.Generation, FromLegs: true}
	t := &txn{state: s, at: r.At}
	t.event(SeverityError, "cluster", "restored", "the coordinators begin anew with %s, as generation %d: nodes "+
		"register, and report the legs on their disks; domains have to be defined again", r.From, r.Generation)
	return s, nil
}
