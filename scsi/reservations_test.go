package scsi

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

func port(name string) Nexus { return Nexus{InitiatorName: name, ISID: [6]byte{name[0]}, TPGT: 1} }

var actionNames = map[string]byte{"register": saRegister, "reserve": saReserve, "release": saRelease,
	"clear": saClear, "preempt": saPreempt, "preempt-abort": saPreemptAndAbort, "register-ignore": saRegisterAndIgnore,
	"move": saRegisterAndMove}

var typeNames = map[string]ReservationType{"WE": WriteExclusive, "EA": ExclusiveAccess,
	"WERO": WriteExclusiveRegistrantsOnly, "EARO": ExclusiveAccessRegistrantsOnly,
	"WEAR": WriteExclusiveAllRegistrants, "EAAR": ExclusiveAccessAllRegistrants}

// The rules of SPC-4 §5.12 as scripts: who orders what, and what comes of it.
func TestReservations_scripts(t *testing.T) {
	datadriven.Walk(t, "testdata/reservations", func(t *testing.T, path string) {
		state := &reservations{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "new" {
				state = &reservations{}
				return "ok\n"
			}
			o := reserveOrder{action: actionNames[d.CmdArgs[0].Key], target: moveGoal{port: thePort}}
			for _, a := range d.CmdArgs[1:] {
				switch a.Key {
				case "key":
					_, err := fmt.Sscan(a.Vals[0], &o.key)
					require.NoError(t, err)
				case "new":
					_, err := fmt.Sscan(a.Vals[0], &o.newKey)
					require.NoError(t, err)
				case "type":
					o.kind = typeNames[a.Vals[0]]
				case "scope":
					o.scope = 1
				case "others":
					o.withOthers = true
					for _, name := range a.Vals {
						o.others = append(o.others, port(name))
					}
				case "to":
					o.target.nexus = port(a.Vals[0])
				case "port":
					o.target.port = 2
				case "unreg":
					o.target.unregister = true
				case "aptpl":
					o.persist = true
				default:
					d.Fatalf(t, "what is %s?", a.Key)
				}
			}
			change, no := state.carryOut(port(d.Cmd), &o)
			if no.status == ReservationConflict {
				return "RESERVATION CONFLICT\n"
			} else if no != (refusal{}) {
				return no.sense.sense().String() + "\n"
			}
			state = change.next
			return change.String()
		})
	})
}

// String is how the scripts show a change.
func (c *reserveChange) String() string {
	var b strings.Builder
	s := c.next
	fmt.Fprintf(&b, "generation %d", s.generation)
	for _, r := range s.registered {
		fmt.Fprintf(&b, " %s=%d", r.nexus.InitiatorName, r.key)
	}
	if s.kind != 0 {
		fmt.Fprintf(&b, "; %v %s", s.kind, s.holder.InitiatorName)
	}
	if s.persist {
		b.WriteString("; kept")
	}
	b.WriteString("\n")
	for _, n := range c.tell {
		fmt.Fprintf(&b, "%s: %v\n", n.nexus.InitiatorName, n.what.sense().sense())
	}
	for _, n := range c.ended {
		fmt.Fprintf(&b, "%s: commands end\n", n.InitiatorName)
	}
	return b.String()
}

func TestMayAccess_isTotal(t *testing.T) {
	for _, op := range allOperations() {
		require.NotEqual(t, accessUnknown, op.access, "%#x: no class", op.opcode())
		require.Less(t, op.access, accessClasses)
	}
	for c := range accessClasses {
		for r := range restrictionKinds {
			if r > 0 && mayAccess(c, r) {
				require.True(t, mayAccess(c, r-1), "each restriction keeps out all that the weaker one does")
			}
		}
		require.Equal(t, c != accessUnknown, mayAccess(c, unrestricted))
	}
}

// What restricts whom, for every type: the table of SPC-4 §5.12.1.
func TestRestricts(t *testing.T) {
	for name, kind := range typeNames {
		s := &reservations{kind: kind, holder: holderOf(kind, port("a")),
			registered: []registration{{port("a"), 1, false}, {port("b"), 2, false}}}
		require.Empty(t, s.check())
		out := keptFromWriting
		if strings.HasPrefix(name, "EA") {
			out = keptFromAccess
		}
		registrant := out
		if len(name) == 4 {
			registrant = unrestricted
		}
		require.Equal(t, unrestricted, s.restricts(port("a")), name)
		require.Equal(t, registrant, s.restricts(port("b")), name)
		require.Equal(t, out, s.restricts(port("c")), name)
	}
	holder := port("a")
	s := &reservations{simple: &holder}
	require.Equal(t, unrestricted, s.restricts(port("a")))
	require.Equal(t, keptFromAll, s.restricts(port("b")))
	require.Equal(t, unrestricted, (&reservations{}).restricts(port("b")))
}

// Whatever is ordered, in whatever order: the invariants hold, nothing that was published changes, a refusal
// changes nothing, what a change keeps is read back as it was, and every answer of PERSISTENT RESERVE IN is as
// long as it says.
func TestReservations_randomOrders(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		kinds := []ReservationType{0, 1, 2, 3, 5, 6, 7, 8}
		s := &reservations{}
		for range 200 {
			o := reserveOrder{action: byte(rng.IntN(9)), kind: kinds[rng.IntN(len(kinds))],
				key: uint64(rng.IntN(4)), newKey: uint64(rng.IntN(4)), persist: rng.IntN(2) == 0,
				target: moveGoal{nexus: port(names[rng.IntN(4)]), port: thePort, unregister: rng.IntN(2) == 0}}
			if rng.IntN(8) == 0 {
				o.withOthers, o.others = true, []Nexus{port(names[rng.IntN(4)])}
			}
			if o.action == saRegister && rng.IntN(2) == 0 {
				o.action = saRegisterAndIgnore
			}
			by := port(names[rng.IntN(4)])
			before := s.clone()
			change, no := s.carryOut(by, &o)
			require.Equal(t, before, s, "what is published never changes")
			if no != (refusal{}) {
				require.Nil(t, change)
				continue
			}
			s = change.next
			require.Emptyf(t, s.check(), "seed %d: %+v", seed, o)
			for _, n := range change.tell {
				require.NotEqual(t, by, n.nexus, "nobody is told what he did himself")
			}
			if o.action != saPreemptAndAbort {
				require.Empty(t, change.ended)
			}
			require.NotContains(t, change.ended, by)

			encoded, err := encodeReservations(s, "x")
			require.NoError(t, err)
			back, err := decodeReservations(encoded, "x")
			require.NoError(t, err)
			want := s.clone()
			want.generation, want.persist = 0, true
			if len(want.registered) == 0 {
				want.registered = nil
			}
			require.Equal(t, want, back)
			for _, data := range [][]byte{s.keys(), s.reservation(), s.fullStatus()} {
				require.EqualValues(t, len(data)-8, binary.BigEndian.Uint32(data[4:]))
				require.Equal(t, s.generation, binary.BigEndian.Uint32(data))
			}
		}
	}
}

func TestReservations_bounded(t *testing.T) {
	s := &reservations{}
	for i := range maxRegistrations + 1 {
		change, no := s.carryOut(Nexus{InitiatorName: fmt.Sprint(i)}, &reserveOrder{newKey: 1})
		if i == maxRegistrations {
			require.Equal(t, refusedFor(senseRegistrationResources), no)
			break
		}
		s = change.next
	}
	require.LessOrEqual(t, len(s.fullStatus()), 0xffff, "the allocation length has two bytes")
}

func TestDecodeReservations_refusesWhatItCannotRead(t *testing.T) {
	s := &reservations{kind: WriteExclusive, holder: port("a"), registered: []registration{{port("a"), 1, false}}}
	whole, err := encodeReservations(s, "x")
	require.NoError(t, err)
	for n := range len(whole) - 1 {
		_, err := decodeReservations(whole[:n], "x")
		require.ErrorIs(t, err, ErrReservationsDamaged, "cut to %d", n)
	}
	for n := range whole[:len(whole)-1] {
		damaged := slices.Clone(whole)
		damaged[n] ^= 0x10
		_, err := decodeReservations(damaged, "x")
		require.ErrorIs(t, err, ErrReservationsDamaged, "byte %d", n)
	}
	other, err := decodeReservations(whole, "y")
	require.NoError(t, err)
	require.True(t, other.empty(), "of another disk")
	s.registered[0].nexus.InitiatorName, s.holder.InitiatorName = "\xff", "\xff"
	_, err = encodeReservations(s, "x")
	require.Error(t, err, "what would not be read back as it is")
}

func TestTransportID(t *testing.T) {
	for _, name := range []string{"iqn.x:a", "a", strings.Repeat("n", maxISCSIName)} {
		n := Nexus{InitiatorName: name, ISID: [6]byte{0x80, 1, 2, 3, 0xab, 0xff}}
		b := appendTransportID([]byte("x"), n)[1:]
		require.LessOrEqual(t, len(b), maxTransportID)
		require.Zero(t, len(b)%4)
		got, size, ok := parseTransportID(append(slices.Clone(b), "rest"...))
		require.True(t, ok)
		require.Equal(t, len(b), size)
		require.Equal(t, n, got)
		for i := range len(b) {
			_, _, ok := parseTransportID(b[:i])
			require.False(t, ok, "cut to %d", i)
		}
	}
	for _, name := range []string{"iqn.x:\xff", "a b", "a\nb", strings.Repeat("n", maxISCSIName+1), ""} {
		_, _, ok := parseTransportID(appendTransportID(nil, Nexus{InitiatorName: name}))
		require.False(t, ok, "%q", name)
	}
	deviceOnly := append([]byte{0x05, 0, 0, 20}, make([]byte, 20)...)
	copy(deviceOnly[4:], "iqn.x:a")
	_, _, ok := parseTransportID(deviceOnly)
	require.False(t, ok, "no port")
}

func FuzzReserveOrder(f *testing.F) {
	list := make([]byte, reserveListBytes)
	f.Add([]byte{opPersistentReserveOut, saRegister, 0, 0, 0, 0, 0, 0, 24, 0}, list)
	list = append(list, 0, 0, 0, 24)
	list[20] = 8
	list = appendTransportID(list, port("a"))
	f.Add([]byte{opPersistentReserveOut, saRegister, 0, 0, 0, 0, 0, 0, byte(len(list)), 0}, list)
	f.Add([]byte{opPersistentReserveOut, saRegisterAndMove, 0, 0, 0, 0, 0, 0, byte(len(list)), 0}, list)
	f.Fuzz(func(t *testing.T, cdb, list []byte) {
		if len(cdb) < 10 {
			return
		}
		o, sense := parseReserveOrder(cdb, list, 1)
		if sense != 0 {
			return
		}
		if len(o.others) > maxRegistrations {
			t.Fatal("more nexuses than can register")
		}
		(&reservations{registered: []registration{{port("a"), 1, false}}}).carryOut(port("a"), &o)
	})
}

func FuzzDecodeReservations(f *testing.F) {
	whole, err := encodeReservations(&reservations{kind: WriteExclusive, holder: port("a"),
		registered: []registration{{port("a"), 1, false}}}, "x")
	require.NoError(f, err)
	f.Add(whole)
	f.Fuzz(func(t *testing.T, data []byte) {
		// What a checksum fits is as good as what was written, whoever made it.
		_, body, _ := bytes.Cut(data, []byte("\n"))
		kept := fmt.Appendf(nil, "%s %08x\n%s", reservationsFormat, reservationsSum(body), body)
		s, err := decodeReservations(kept, "x")
		if err == nil && s.check() != "" {
			t.Fatalf("%s: %+v", s.check(), s)
		}
	})
}
