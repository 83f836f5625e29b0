package mirror

import "math/bits"

// LegState is what the engine does with a leg. Whether a leg belongs to ack_set, read_set or wo_set
// follows from its state alone, by legStates.
type LegState uint8

// The states of a leg in the engine.
const (
	// LegOutside takes no part: not connected, not yet used, or left and waiting to join.
	LegOutside LegState = iota
	// LegRecording joins: its login is being reported to the coordinators.
	LegRecording
	// LegConfiguring joins: it is being given CONFIG, before its first write.
	LegConfiguring
	// LegSettling gets every new write; writes that were sent without it are awaited.
	LegSettling
	// LegMarking gets every write; what it missed is being asked for.
	LegMarking
	// LegCopying gets every write; what it missed is being copied.
	LegCopying
	// LegStamping is copied; the source's versions of what it missed are made durable on it.
	LegStamping
	// LegDraining is copied; acks need it now, and its older writes are awaited.
	LegDraining
	// LegFlushing is being flushed, so that what was copied is durable.
	LegFlushing
	// LegAdding is proposed to the coordinators as in sync; the outcome is unknown until they answer.
	LegAdding
	// LegAnnounced is committed as in sync; CONFIG is not yet on every leg.
	LegAnnounced
	// LegInSync is in sync, and the only state from which a leg is read.
	LegInSync
	// LegSuspect failed or retires; it is to be removed, acks wait for it or for its removal.
	LegSuspect
	// LegRemoving is being removed; the outcome is unknown until the coordinators answer.
	LegRemoving
	// LegRemoved is removed by a commit; CONFIG is not yet on every leg that receives writes.
	LegRemoved

	legStateCount
)

// legStates says for each state which sets its legs belong to.
//
// Invariant: every state in which raft may have the leg in sync has ack = true.
// Invariant: no state but LegInSync has read = true.
var legStates = [legStateCount]struct {
	name          string
	ack, wo, read bool
}{
	LegOutside:     {name: "outside"},
	LegRecording:   {name: "recording"},
	LegConfiguring: {name: "configuring"},
	LegSettling:    {name: "settling", wo: true},
	LegMarking:     {name: "marking", wo: true},
	LegCopying:     {name: "copying", wo: true},
	LegStamping:    {name: "stamping", wo: true},
	LegDraining:    {name: "draining", ack: true},
	LegFlushing:    {name: "flushing", ack: true},
	LegAdding:      {name: "adding", ack: true},
	LegAnnounced:   {name: "announced", ack: true},
	LegInSync:      {name: "in_sync", ack: true, read: true},
	LegSuspect:     {name: "suspect", ack: true},
	LegRemoving:    {name: "removing", ack: true},
	LegRemoved:     {name: "removed", ack: true},
}

// String returns the state's name.
func (s LegState) String() string {
	if s < legStateCount {
		return legStates[s].name
	}
	return "unknown"
}

// Joining reports whether the leg is on its way into the in-sync list and the coordinators cannot
// have it there: it may be dropped without asking them.
func (s LegState) Joining() bool { return s >= LegRecording && s <= LegFlushing }

// legTransitions lists every legal change of a leg's state; what is absent is a bug, and stops the
// engine before it can do harm.
var legTransitions = []struct {
	from, to LegState
	why      string
}{
	{LegOutside, LegAnnounced, "Activate named it"},
	{LegOutside, LegRecording, "it can be reached and is wanted"},
	{LegRecording, LegConfiguring, "the coordinators know its login"},
	{LegConfiguring, LegSettling, "CONFIG is durable on it"},
	{LegSettling, LegMarking, "every write that was sent without it has ended"},
	{LegMarking, LegCopying, "its copy set is known"},
	{LegCopying, LegStamping, "its copy set is copied"},
	{LegStamping, LegDraining, "the source's versions are durable on it"},
	{LegDraining, LegFlushing, "it answered every write it was sent"},
	{LegFlushing, LegAdding, "what it holds is durable"},
	{LegAdding, LegAnnounced, "AddLeg is committed"},
	{LegAdding, LegSuspect, "it failed or was refused while AddLeg was under way"},
	{LegAnnounced, LegInSync, "CONFIG is on every leg"},
	{LegAnnounced, LegSuspect, "it failed"},
	{LegInSync, LegSuspect, "it failed or retires"},
	{LegSuspect, LegInSync, "it came back before its removal was asked for"},
	{LegSuspect, LegAnnounced, "it came back, CONFIG is still missing somewhere"},
	{LegSuspect, LegRemoving, "its removal is asked for"},
	{LegRemoving, LegSuspect, "it is the last usable one, or still in sync"},
	{LegRemoving, LegRemoved, "RemoveLeg is committed"},
	{LegRemoved, LegOutside, "CONFIG is on every leg that receives writes"},
	{LegRecording, LegOutside, "it failed"},
	{LegConfiguring, LegOutside, "it failed"},
	{LegSettling, LegOutside, "it failed"},
	{LegMarking, LegOutside, "it failed"},
	{LegCopying, LegOutside, "it failed"},
	{LegStamping, LegOutside, "it failed"},
	{LegDraining, LegOutside, "it failed before AddLeg was sent"},
	{LegFlushing, LegOutside, "it failed before AddLeg was sent"},
}

func legalTransition(from, to LegState) bool {
	for _, t := range legTransitions {
		if t.from == from && t.to == to {
			return true
		}
	}
	return false
}

// legSet is a set of legs by their index.
type legSet uint32

func only(i LegIndex) legSet               { return 1 << uint(i) }
func (s legSet) has(i LegIndex) bool       { return s&only(i) != 0 }
func (s legSet) with(i LegIndex) legSet    { return s | only(i) }
func (s legSet) without(i LegIndex) legSet { return s &^ only(i) }
func (s legSet) first() LegIndex           { return LegIndex(bits.TrailingZeros32(uint32(s))) }
func (s legSet) count() int                { return bits.OnesCount32(uint32(s)) }
func (s legSet) rest() legSet              { return s & (s - 1) }
func (s legSet) within(o legSet) bool      { return s&^o == 0 }
func (s legSet) set(i LegIndex, in bool) legSet {
	if in {
		return s.with(i)
	}
	return s.without(i)
}
