package scsi

import (
	"maps"
	"math/bits"
	"sync/atomic"
)

// attention is a kind of unit attention; those with a lower number are reported first.
type attention byte

const (
	attentionPowerOn       attention = iota
	attentionPreempted               // the reservation and registrations were cleared
	attentionReleased                // the reservation ended, or changed its type
	attentionRegistrations           // the nexus has lost its registration
	attentionKinds
)

// sense returns how a unit attention is reported.
func (a attention) sense() senseCode {
	return [attentionKinds]senseCode{
		attentionPowerOn:       sensePowerOn,
		attentionPreempted:     senseReservationsPreempted,
		attentionReleased:      senseReservationsReleased,
		attentionRegistrations: senseRegistrationsPreempted,
	}[a]
}

// maxKnownNexuses bounds how many nexuses a unit remembers. When it is reached all are forgotten:
// each gets its unit attention once more, which initiators take in their stride.
const maxKnownNexuses = 256

// attentions remembers which nexuses have had their power-on unit attention, and what else is pending
// for each of those, a bit for each kind. The set is replaced as a whole when it grows, so that the
// data path only loads two words.
type attentions struct {
	known atomic.Pointer[map[Nexus]*atomic.Uint32]
}

// take returns the sense of the unit attention that the nexus has pending, and clears it; zero if none.
func (a *attentions) take(n Nexus) senseCode {
	for {
		old := a.known.Load()
		if old != nil {
			if pending, ok := (*old)[n]; ok {
				return takeFirst(pending)
			}
		}
		next := map[Nexus]*atomic.Uint32{n: new(atomic.Uint32)}
		if old != nil && len(*old) < maxKnownNexuses {
			maps.Copy(next, *old)
		}
		if a.known.CompareAndSwap(old, &next) {
			return attentionPowerOn.sense()
		}
	}
}

func takeFirst(pending *atomic.Uint32) senseCode {
	for {
		set := pending.Load()
		if set == 0 {
			return 0
		}
		if pending.CompareAndSwap(set, set&(set-1)) {
			return attention(bits.TrailingZeros32(set)).sense()
		}
	}
}

// raise makes a unit attention pending for a nexus. One that is not known has its power-on attention
// pending, which says that anything may have changed.
func (a *attentions) raise(n Nexus, what attention) {
	if known := a.known.Load(); known != nil {
		if pending, ok := (*known)[n]; ok {
			pending.Or(1 << what)
		}
	}
}

// giveBack makes a unit attention pending again that was taken and not reported.
func (a *attentions) giveBack(n Nexus, code senseCode) {
	for kind := range attentionKinds {
		if kind.sense() == code {
			a.raise(n, kind)
		}
	}
}

// raiseAll makes the power-on unit attention pending for every nexus.
func (a *attentions) raiseAll() { a.known.Store(nil) }
