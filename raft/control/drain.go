package control

import (
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Left returns what has still to leave a node that is being emptied, as a phrase, "" if nothing has. A
// vote that nobody can take stays with a node that is only drained.
func (v *View) Left(n *raft.Node) string {
	if why := v.Holds(n.ID); why != "" {
		return why
	}
	switch {
	case v.votes(n.ID) && !(n.Stays && v.KeepsVote(n.ID)):
		return "its vote moves to another coordinator"
	case slices.Contains(v.Learners, n.ID):
		return "it is taken out of the coordinators"
	case v.deletes(n.ID):
		return "it deletes the legs that have left it"
	}
	return ""
}

// KeepsVote reports whether a node votes, and no other coordinator could take its vote.
func (v *View) KeepsVote(id volume.NodeID) bool {
	left, need := v.VotesLeft(id, nil)
	return v.votes(id) && left < need
}

// Stranded is a leg for which there is no place once its node is emptied.
type Stranded struct {
	Volume *raft.Volume
	Leg    *raft.Leg
	Why    string // what would be needed
	InSync int    // legs in sync that the volume would have without it
}

// Message says which volume would lose what, and why.
func (s Stranded) Message() string {
	return sprintf("volume %s would be left with %d of %d legs: %s", s.Volume.Name, s.InSync,
		s.Volume.Layout.Legs(), s.Why)
}

// Strands returns the legs of a node that could go nowhere if it were emptied now: all of its legs need
// room at the same time. With heir they go there.
func (v *View) Strands(id volume.NodeID, heir *raft.Node) []Stranded {
	n := v.State.Nodes[id]
	if n == nil {
		return nil
	}
	future := *v
	future.State = v.State.Fork()
	leaving := *n
	leaving.Retiring = true
	if heir != nil {
		leaving.ReplacedBy = heir.ID
		full := *heir
		full.Pending = false
		future.State.Nodes[heir.ID] = &full
	}
	future.State.Nodes[id] = &leaving
	stores := future.Stores()
	var out []Stranded
	for _, vol := range v.State.SortedVolumes() {
		for _, l := range vol.Legs {
			if l.Node != id || vol.Deleting || vol.Replacement(l.ID) != nil {
				continue
			}
			spot, err := future.placeReplacement(vol, l, stores)
			if err == nil {
				reserve(stores, spot, vol.StoreBytes())
				continue
			}
			rest := slices.DeleteFunc(slices.Clone(vol.InSync), func(o volume.LegID) bool { return o == l.ID })
			out = append(out, Stranded{Volume: vol, Leg: l, Why: err.Error(), InSync: len(rest)})
		}
	}
	return out
}

// StrandedMessage puts the first few of these into one sentence.
func StrandedMessage(all []Stranded) string {
	const most = 3
	var parts []string
	for _, s := range all[:min(most, len(all))] {
		parts = append(parts, s.Message())
	}
	if n := len(all) - most; n > 0 {
		parts = append(parts, sprintf("and so would %d more", n))
	}
	return strings.Join(parts, "; ")
}
