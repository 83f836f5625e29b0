package control

import (
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// VersionWord is what a coordinator says of the cluster versions that it can deal with.
type VersionWord struct {
	Knows int `json:"knows"` // the highest that its release understands; zero is the first
	Born  int `json:"born"`  // the highest that the first release understood which ran on its data
}

// versionFact is the last word of a coordinator.
type versionFact struct {
	VersionWord
	heard time.Time
	since time.Time // that it says so, without a silence
}

// HearVersion takes a coordinator's word. One that was silent, or says something else, is at the beginning.
func (f *Facts) HearVersion(id volume.NodeID, word VersionWord, silence time.Duration, now time.Time) {
	word.Knows, word.Born = max(word.Knows, raft.VersionFirst), max(word.Born, raft.VersionFirst)
	last, known := f.versions[id]
	since := now
	if known && last.VersionWord == word && now.Sub(last.heard) < silence {
		since = last.since
	}
	f.versions[id] = versionFact{word, now, since}
}

// ForgetVersions drops all words: a new leader judges by what is said to it.
func (f *Facts) ForgetVersions() { clear(f.versions) }

// NextVersion returns the highest cluster version that every coordinator understands, and the coordinators
// that stand against a higher one: their release does not understand it, or they are not heard.
func (v *View) NextVersion() (version int, against []volume.NodeID) {
	version = raft.VersionLatest
	for _, id := range v.coordinators() {
		knows := v.State.Version
		if fact, heard := v.Facts.versions[id]; heard && v.Now.Sub(fact.heard) < v.Timing.DaemonSilent {
			knows = fact.Knows
		}
		if knows < raft.VersionLatest {
			against = append(against, id)
		}
		version = min(version, knows)
	}
	return max(version, v.State.Version), against
}

// coordinators are the members, with and without a vote: an entry of the log reaches all of them.
func (v *View) coordinators() []volume.NodeID { return slices.Concat(v.Members, v.Learners) }

// Versions raises the cluster version once every coordinator has said for Timing.Upgrade that it
// understands a higher one. Until then the former release can be put back on every node. A cluster on whose
// data no older release ever ran does not wait.
func Versions(v *View) []raft.Command {
	next, _ := v.NextVersion()
	if len(v.Members) == 0 || next <= v.State.Version || v.State.Cluster.ID.IsZero() {
		return nil
	}
	for _, id := range v.coordinators() {
		if fact := v.Facts.versions[id]; fact.Born < next && v.Now.Sub(fact.since) < v.Timing.Upgrade {
			return nil
		}
	}
	return []raft.Command{{RaiseVersion: &raft.RaiseVersion{To: next}}}
}
