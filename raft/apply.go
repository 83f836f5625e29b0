package raft

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// Apply applies one command and returns the answer. It depends on nothing but the state and the
// command. A refused command changes nothing, except that evidence which contradicts the state
// freezes a volume or quarantines a leg.
//
// Apply replaces the objects that it changes and leaves the old ones as they are, so that whoever
// holds a Fork of the state may read on.
func (s *State) Apply(c Command) Result {
	next, result, changed := s.applied(c)
	if changed {
		*s = *next
	}
	return result
}

// Fork returns a state that shares its objects with s. Apply on either is not seen by the other; any
// other change of a shared object is forbidden.
func (s *State) Fork() *State {
	f := *s
	f.Nodes, f.Volumes = maps.Clone(s.Nodes), maps.Clone(s.Volumes)
	f.Domains, f.Tombs = maps.Clone(s.Domains), maps.Clone(s.Tombs)
	f.Removed = maps.Clone(s.Removed)
	f.Joins, f.Tokens = maps.Clone(s.Joins), maps.Clone(s.Tokens)
	f.Images, f.Blobs = maps.Clone(s.Images), maps.Clone(s.Blobs)
	f.Events = slices.Clip(s.Events) // an append to one of them moves it away
	f.Operations = slices.Clip(s.Operations)
	f.Drills = slices.Clip(s.Drills)
	return &f
}

// After returns what the state would be once a command is applied; s stays as it is. It is s itself if the command
// would change nothing.
func (s *State) After(c Command) *State {
	next, _, _ := s.applied(c)
	return next
}

// applied returns the state after the command, the answer, and whether the state differs; if it does
// not, the state is s.
func (s *State) applied(c Command) (*State, Result, bool) {
	if err := c.check(); err != nil {
		return s, Result{Err: invalid("%v", err)}, false
	}
	t := &txn{state: s.Fork(), at: c.At}
	t.result.Err = c.kind().apply(t)
	if t.result.Err != nil && !t.keep {
		r := Result{Err: t.result.Err}
		if t.stands != nil {
			r.Epoch, r.Config = t.stands.Epoch, t.stands.Config()
		}
		return s, r, false
	}
	if !t.changed {
		return s, t.result, false
	}
	t.state.trimEvents()
	return t.state, t.result, true
}

// txn is one command on its way through Apply: a fork of the state that becomes the state only if
// the command is accepted (or keep is set).
type txn struct {
	state   *State
	at      time.Time
	result  Result
	changed bool
	keep    bool    // commit although the command is refused: it brought evidence
	stands  *Volume // tells its host what stands, although the command is refused; not edited
}

// volume returns a volume that exists.
func (t *txn) volume(id volume.ID) (*Volume, *Refusal) {
	if v := t.state.Volumes[id]; v != nil {
		return v, t.sound(v)
	}
	return nil, refuse(CodeNotFound, "no volume has the id %s", id)
}

// edit returns a copy of a volume which takes its place in the state; its legs, lists and attachment
// are copies, too.
func (t *txn) edit(v *Volume) *Volume {
	c := *v
	c.InSync, c.Granted = slices.Clone(v.InSync), slices.Clone(v.Granted)
	c.Legs = make([]*Leg, len(v.Legs))
	for i, l := range v.Legs {
		leg := *l
		c.Legs[i] = &leg
	}
	if v.Attach != nil {
		a := *v.Attach
		a.Lossy = slices.Clone(a.Lossy)
		c.Attach = &a
	}
	c.copyScrubs()
	t.state.Volumes[v.ID] = &c
	t.changed = true
	return &c
}

// answer puts the volume's epoch and configuration into the result.
func (t *txn) answer(v *Volume) {
	t.result.Epoch, t.result.Config, t.result.Clean = v.Epoch, v.Config(), v.Clean
	if v.Attach != nil {
		t.result.Lossy, t.result.Unbroken = slices.Clone(v.Attach.Lossy), v.Attach.Unbroken
	}
}

// The severities of events.
const (
	SeverityInfo    = "info"
	SeverityWarning = "warning"
	SeverityError   = "error"
)

// event records that something noteworthy happened to an object.
func (t *txn) event(severity, object, kind, format string, args ...any) {
	t.state.LastSeq++
	t.state.Events = append(t.state.Events, Event{
		Seq: t.state.LastSeq, At: t.at, Severity: severity, Object: object, Kind: kind,
		Message: fmt.Sprintf(format, args...),
	})
	t.changed = true
}

// trimEvents forgets the oldest events above EventsMax.
func (s *State) trimEvents() {
	if n := len(s.Events) - EventsMax; n > 0 {
		s.Events = s.Events[n:] // the rest of the array goes when the next event moves the list
	}
}

// nextEpoch returns the epoch after the volume's own, in this restore generation.
func (t *txn) nextEpoch(v *Volume) volume.Epoch {
	return max(v.Epoch, v.SeenEpoch, volume.FirstEpoch(t.state.Cluster.RestoreGen)) + 1
}

// nextCfgVer returns the configuration version after the volume's own, in this restore generation.
func (t *txn) nextCfgVer(v *Volume) volume.CfgVer {
	return max(v.CfgVer, v.SeenCfg, volume.FirstCfgVer(t.state.Cluster.RestoreGen)) + 1
}

// legName names a leg as people know it: by its node and the first digits of its id.
func (t *txn) legName(l *Leg) string {
	return fmt.Sprintf("leg %s on %s", l.ID.Short(), t.state.NodeName(l.Node))
}

// nodeNames returns the names of the nodes of these legs, in their order.
func (t *txn) nodeNames(v *Volume, legs []volume.LegID) []string {
	names := make([]string, len(legs))
	for i, id := range legs {
		names[i] = "a node that is no longer part of it"
		if l := v.Leg(id); l != nil {
			names[i] = t.state.NodeName(l.Node)
		}
	}
	return names
}

func refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *Refusal { return refuse(CodeInvalid, format, args...) }
