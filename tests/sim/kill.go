package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-storage/holdfast/volume"
)

// Where the seeds take some orders of very many faults, kills take every moment of one update: a fixed script of
// writes on a small set of parity, with no other fault, is run again and again, and after each of its events the host
// dies, or some legs lose their power, or both. The engine that takes over is then killed in the same way, after each
// event of its recovery.

// Kill is one case: a set, a moment of the update, who dies then, and what of it is left.
type Kill struct {
	Data, Extra int
	Durability  volume.Durability
	Schedule    uint64 // which latencies everything has; the script is the same in all of them

	Event int     // how many events of the update have happened
	Host  bool    // the host dies, and another one takes over at once
	Sent  bool    // what the host has sent is delivered after its death; else it is lost
	Legs  []int   // slots of the legs that are hit
	Left  Leaving // what is left on them
	Back  Return  // when they are back
	Again int     // how many events have happened since when the host that took over dies, too; zero = it lives
	Then  Leaving // what is left on all legs, which lose their power with that host; empty = they live
}

// Leaving says what a hit leaves of what a leg has not synced.
type Leaving string

// What a hit leaves.
const (
	LeaveNothing Leaving = "nothing" // the power is cut, and the medium has nothing but what was synced
	LeaveAll     Leaving = "all"     // the power is cut, and the medium has everything
	LeaveSome    Leaving = "some"    // the power is cut, and the medium has this and that, in parts, by the schedule
	LeaveJournal Leaving = "journal" // the power is cut, and the medium has all of the journal, nothing of the rest
	LeaveHome    Leaving = "home"    // the power is cut, and the medium has nothing of the journal, all of the rest
	LeaveCache   Leaving = "cache"   // the process dies alone, and the page cache stays
	LeaveFirst   Leaving = "first"   // LeaveAll on the first of the legs, LeaveNothing on the others
	LeaveRest    Leaving = "rest"    // LeaveNothing on the first of the legs, LeaveAll on the others
)

// on is what is left on one of the legs.
func (l Leaving) on(first bool) Leaving {
	switch {
	case l == LeaveFirst && first, l == LeaveRest && !first:
		return LeaveAll
	case l == LeaveFirst, l == LeaveRest:
		return LeaveNothing
	}
	return l
}

// Return says when legs that were hit are back.
type Return string

// When legs are back.
const (
	BackAtOnce Return = "atonce" // before anybody has noticed
	BackAfter  Return = "after"  // when the set is served without them
	BackLate   Return = "late"   // when everything has been read without them
)

func leavings() []Leaving {
	return []Leaving{LeaveNothing, LeaveAll, LeaveSome, LeaveJournal, LeaveHome, LeaveCache, LeaveFirst, LeaveRest}
}

// whole reports whether the kill hits every leg of the set.
func (k Kill) whole() bool { return len(k.Legs) == k.Data+k.Extra }

// String names the case, so that ParseKill reads it.
func (k Kill) String() string {
	text := fmt.Sprintf("%d+%d,%s,schedule=%d,event=%d", k.Data, k.Extra, k.Durability, k.Schedule, k.Event)
	if k.Host {
		text += ",host"
	}
	if k.Sent {
		text += ",sent"
	}
	if len(k.Legs) > 0 {
		slots := make([]string, len(k.Legs))
		for i, s := range k.Legs {
			slots[i] = strconv.Itoa(s)
		}
		text += ",legs=" + strings.Join(slots, ":") + ",left=" + string(k.Left) + ",back=" + string(k.Back)
	}
	if k.Again > 0 {
		text += ",again=" + strconv.Itoa(k.Again)
	}
	if k.Then != "" {
		text += ",then=" + string(k.Then)
	}
	return text
}

// ParseKill reads what String made of a case.
func ParseKill(text string) (Kill, error) {
	var k Kill
	parts := strings.Split(text, ",")
	if len(parts) < 2 {
		return k, fmt.Errorf("kill %q names no set and no durability class", text)
	}
	if _, err := fmt.Sscanf(parts[0], "%d+%d", &k.Data, &k.Extra); err != nil {
		return k, fmt.Errorf("kill %q: the set %q: %w", text, parts[0], err)
	}
	var err error
	if k.Durability, err = volume.ParseDurability(parts[1]); err != nil {
		return k, fmt.Errorf("kill %q: %w", text, err)
	}
	for _, part := range parts[2:] {
		if err := k.set(part); err != nil {
			return k, fmt.Errorf("kill %q: %q: %w", text, part, err)
		}
	}
	return k, nil
}

// set reads one part of the text of a case.
func (k *Kill) set(part string) (err error) {
	name, value, _ := strings.Cut(part, "=")
	switch name {
	case "host":
		k.Host = true
	case "sent":
		k.Sent = true
	case "schedule":
		k.Schedule, err = strconv.ParseUint(value, 10, 64)
	case "event":
		k.Event, err = strconv.Atoi(value)
	case "again":
		k.Again, err = strconv.Atoi(value)
	case "left":
		k.Left, err = parseLeaving(value)
	case "then":
		k.Then, err = parseLeaving(value)
	case "back":
		if k.Back = Return(value); !slices.Contains([]Return{BackAtOnce, BackAfter, BackLate}, k.Back) {
			err = fmt.Errorf("only %s, %s and %s", BackAtOnce, BackAfter, BackLate)
		}
	case "legs":
		for _, s := range strings.Split(value, ":") {
			slot, err := strconv.Atoi(s)
			if err != nil || slot < 0 || slot >= k.Data+k.Extra {
				return fmt.Errorf("there is no slot %q", s)
			}
			k.Legs = append(k.Legs, slot)
		}
	default:
		err = fmt.Errorf("no part of a case")
	}
	return err
}

func parseLeaving(value string) (Leaving, error) {
	if l := Leaving(value); slices.Contains(leavings(), l) {
		return l, nil
	}
	return "", fmt.Errorf("only %v", leavings())
}
