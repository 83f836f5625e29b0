package scsi

import (
	"encoding/binary"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

// memStore is a ReservationStore in memory that can fail.
type memStore struct {
	kept  []byte
	fail  error
	fails int  // so many times from now on
	late  bool // after it has kept what it was given, the first time
}

func (s *memStore) Load() ([]byte, error) { return s.kept, s.fail }

func (s *memStore) Save(p []byte) error {
	if s.fails > 0 {
		if s.fails--; s.late {
			s.kept, s.late = p, false
		}
		return errors.New("it failed")
	}
	if s.fail == nil {
		s.kept = p
	}
	return s.fail
}

func reservable(store ReservationStore) func(*Options) {
	return func(o *Options) { o.Reservations, o.ReservationStore = true, store }
}

// as returns the bench of another nexus of the same disk, which has had its power-on unit attention.
func (b *bench) as(name string) *bench {
	c := *b
	c.nexus = port(name)
	c.do(TestUnitReadyCDB(), nil, 0)
	return &c
}

func reserveOut(action byte, kind ReservationType, key, newKey uint64, flags byte) (CDB, []byte) {
	list := make([]byte, reserveListBytes)
	binary.BigEndian.PutUint64(list, key)
	binary.BigEndian.PutUint64(list[8:], newKey)
	list[20] = flags
	return CDB{opPersistentReserveOut, action, byte(kind), 0, 0, 0, 0, 0, reserveListBytes}, list
}

func capabilitiesCDB() CDB {
	return CDB{opPersistentReserveIn, saReportCapabilities, 0, 0, 0, 0, 0, 0, 255}
}

func (b *bench) order(action byte, kind ReservationType, key, newKey uint64, flags byte) result {
	cdb, list := reserveOut(action, kind, key, newKey, flags)
	return b.do(cdb, list, 0)
}

func (b *bench) conflicts(cdb CDB, out []byte) {
	b.t.Helper()
	require.Equal(b.t, ReservationConflict, b.do(cdb, out, 4096).Status)
}

func TestDisk_reservationKeepsOthersOut(t *testing.T) {
	b := newBench(t, nil, reservable(nil))
	holder, other := b.as("a"), b.as("b")
	require.Equal(t, Good, holder.order(saRegister, 0, 0, 1, 0).Status)
	require.Equal(t, Good, holder.order(saReserve, ExclusiveAccess, 1, 0, 0).Status)

	holder.good(extentOf(opWrite10, 0, 0, 1), pattern(1), 0)
	other.conflicts(extentOf(opWrite10, 0, 0, 1), repeated(9, 512))
	other.conflicts(extentOf(opRead10, 0, 0, 1), nil)
	require.Equal(t, pattern(1), b.contents(0, 1))
	other.good(InquiryCDB(96), nil, 96)
	other.good(TestUnitReadyCDB(), nil, 0)
	require.Len(t, other.good(CDB{opPersistentReserveIn, saReadReservation, 0, 0, 0, 0, 0, 0, 255}, nil, 255), 24)
	require.Equal(t, ReservationConflict, other.order(saReserve, ExclusiveAccess, 0, 0, 0).Status)
	other.good(CDB{opStartStopUnit, 0, 0, 0, 1}, nil, 0)

	require.Equal(t, Good, other.order(saRegister, 0, 0, 2, 0).Status)
	require.Equal(t, Good, other.order(saPreempt, WriteExclusive, 2, 1, 0).Status)
	holder.refused(senseRegistrationsPreempted, TestUnitReadyCDB(), nil)
	holder.conflicts(extentOf(opWrite10, 0, 0, 1), repeated(9, 512))
	holder.good(extentOf(opRead10, 0, 0, 1), nil, 512)
	other.good(extentOf(opWrite10, 0, 0, 1), pattern(1), 0)
}

func TestDisk_attentionsQueueInOrder(t *testing.T) {
	b := newBench(t, nil, reservable(nil))
	n := port("a")
	require.Equal(t, sensePowerOn, b.disk.attention.take(n))
	require.Zero(t, b.disk.attention.take(n))
	b.disk.attention.raise(n, attentionRegistrations)
	b.disk.attention.raise(n, attentionPreempted)
	b.disk.attention.raise(port("unknown"), attentionPreempted)
	require.Equal(t, senseReservationsPreempted, b.disk.attention.take(n))
	require.Equal(t, senseRegistrationsPreempted, b.disk.attention.take(n))
	require.Zero(t, b.disk.attention.take(n))
	require.Equal(t, sensePowerOn, b.disk.attention.take(port("unknown")))
	require.Zero(t, b.disk.attention.take(port("unknown")))
	b.disk.attention.raise(n, attentionReleased)
	sense, err := ParseSense(b.as("z").good(CDB{opRequestSense, 0, 0, 0, 18}, nil, 18))
	require.NoError(t, err)
	require.Equal(t, Sense{}, sense, "another nexus hears nothing")
	b.disk.Reset()
	require.Equal(t, sensePowerOn, b.disk.attention.take(n), "a reset is said first, and covers the rest")
}

func TestDisk_keepsReservationsThroughALossOfPower(t *testing.T) {
	const aptpl = 1
	store := &memStore{}
	holder := newBench(t, nil, reservable(store)).as("a")
	require.Equal(t, Good, holder.order(saRegister, 0, 0, 1, 0).Status)
	require.Nil(t, store.kept, "nobody asked for it")
	require.Equal(t, Good, holder.order(saRegister, 0, 1, 7, aptpl).Status)
	require.Equal(t, Good, holder.order(saReserve, WriteExclusive, 7, 0, 0).Status)

	b := newBench(t, nil, reservable(store))
	b.as("b").conflicts(extentOf(opWrite10, 0, 0, 1), pattern(1))
	holder = b.as("a")
	holder.good(extentOf(opWrite10, 0, 0, 1), pattern(1), 0)
	keys := holder.good(CDB{opPersistentReserveIn, saReadKeys, 0, 0, 0, 0, 0, 0, 255}, nil, 255)
	require.Equal(t, []byte{0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7}, keys)
	require.Equal(t, []byte{0, 8, 0x0d, 0x91, 0xea, 0x01, 0, 0}, holder.good(capabilitiesCDB(), nil, 255))

	store.fail = errors.New("the disk is full")
	require.Equal(t, senseInternalFailure.sense(), holder.order(saRelease, WriteExclusive, 7, 0, 0).Sense)
	b.as("b").conflicts(extentOf(opWrite10, 0, 0, 1), pattern(1))
	store.fail = nil
	require.Equal(t, Good, holder.order(saClear, 0, 7, 0, 0).Status)
	require.Nil(t, store.kept)

	// A store that fails after all, having kept what it was given: it is put right with the next change.
	store.fails, store.late = 2, true
	require.Equal(t, senseInternalFailure.sense(), holder.order(saRegister, 0, 0, 1, aptpl).Sense)
	require.Equal(t, Good, holder.order(saRegister, 0, 0, 1, 0).Status)
	require.Nil(t, store.kept)
	require.Equal(t, Good, holder.order(saClear, 0, 1, 0, 0).Status)

	store.kept = []byte("what is this")
	o := testOptions()
	reservable(store)(&o)
	_, err := New(b.device, o)
	require.ErrorIs(t, err, ErrReservationsDamaged)
}

func TestDisk_withoutAStoreNothingIsKept(t *testing.T) {
	b := newBench(t, nil, reservable(nil)).as("a")
	require.Equal(t, senseInvalidFieldInList.sense(), b.order(saRegister, 0, 0, 1, 1).Sense)
	require.Equal(t, byte(0x0c), b.good(capabilitiesCDB(), nil, 8)[2])
}

func TestReserveOut_parameterList(t *testing.T) {
	b := newBench(t, nil, reservable(nil)).as("a")
	cdb, list := reserveOut(saRegister, 0, 0, 1, 0)
	b.refused(senseListLength, cdb, list[:23])
	cdb[8] = 23
	b.refused(senseListLength, cdb, list)
	cdb[8] = 25
	b.refused(senseListLength, cdb, append(list, 0))
	cdb[6] = 1
	b.refused(senseListLength, cdb, list)
	b.refused(senseInvalidFieldInCDB, CDB{opPersistentReserveOut, 8, 0, 0, 0, 0, 0, 0, 24}, list)
	list[20] = 0x08 // SPEC_I_PT
	ids := appendTransportID(append(list, 0, 0, 0, 24), port("b"))
	cdb = CDB{opPersistentReserveOut, saRegisterAndIgnore, 0, 0, 0, 0, 0, 0, byte(len(ids))}
	b.refused(senseInvalidFieldInList, cdb, ids)
	cdb[1] = saRegister
	b.good(cdb, ids, 0)
	status := b.good(CDB{opPersistentReserveIn, saReadFullStatus, 0, 0, 0, 0, 0, 2, 0}, nil, 512)
	require.Len(t, status, 8+2*(24+24))
	n, _, ok := parseTransportID(status[8+48+24:])
	require.True(t, ok)
	require.Equal(t, port("b"), Nexus{n.InitiatorName, n.ISID, 1})
}

func TestReserve6(t *testing.T) {
	b := newBench(t, nil, reservable(nil))
	reserve, release := CDB{opReserve6}, CDB{opRelease6}
	holder, other := b.as("a"), b.as("b")
	b.refused(senseInvalidFieldInCDB, CDB{opReserve6, 0x01}, nil)
	holder.good(reserve, nil, 0)
	holder.good(reserve, nil, 0)
	other.conflicts(reserve, nil)
	other.conflicts(TestUnitReadyCDB(), nil)
	other.good(release, nil, 0)
	other.conflicts(extentOf(opRead10, 0, 0, 1), nil)
	other.good(InquiryCDB(96), nil, 96)
	require.Equal(t, ReservationConflict, holder.order(saRegister, 0, 0, 1, 0).Status)
	holder.good(extentOf(opWrite10, 0, 0, 1), pattern(1), 0)
	holder.good(release, nil, 0)
	other.good(reserve, nil, 0)
	b.disk.NexusLost(holder.nexus)
	holder.conflicts(TestUnitReadyCDB(), nil)
	b.disk.NexusLost(other.nexus)
	holder.good(reserve, nil, 0)
	b.disk.Reset()
	other.refused(sensePowerOn, TestUnitReadyCDB(), nil)
	other.good(TestUnitReadyCDB(), nil, 0)
	require.Equal(t, Good, other.order(saRegister, 0, 0, 1, 0).Status)
	other.conflicts(reserve, nil)
	other.conflicts(release, nil)
}

// abortedTask is the handle of a command that somebody aborts after some looks at it.
type abortedTask struct{ looks int }

func (*abortedTask) AbortTasks(func(Nexus) bool) func() { return func() {} }

func (a *abortedTask) Aborted() bool { a.looks--; return a.looks < 0 }

// Who was aborted while it waited for its turn changes nothing any more: otherwise the preempted would register
// again behind the back of whoever preempted it, and two that preempt each other would wait for each other.
func TestReservations_anAbortedCommandChangesNothing(t *testing.T) {
	b := newBench(t, nil, reservable(nil)).as("a")
	for action := range byte(8) {
		cdb, list := reserveOut(action, WriteExclusive, 0, 1, 0)
		var res Response
		b.disk.Execute(t.Context(), &Command{CDB: cdb[:], DataOut: list, Nexus: b.nexus, Tasks: &abortedTask{}}, &res)
		require.NotEqual(t, Good, res.Status)
	}
	reserve := CDB{opReserve6}
	var res Response
	b.disk.Execute(t.Context(), &Command{CDB: reserve[:], Nexus: b.nexus, Tasks: &abortedTask{}}, &res)
	require.NotEqual(t, Good, res.Status)
	require.True(t, b.disk.reserver.state().empty())
}

func TestAttention_ofRequestSenseIsKnown(t *testing.T) {
	b := newBench(t, nil, nil)
	b.disk.Reset()
	got := b.do(CDB{opRequestSense, 0, 0, 0, 18}, nil, 18)
	sense, took := got.Attention()
	require.True(t, took)
	require.Equal(t, sensePowerOn.sense(), sense)
	got = b.do(TestUnitReadyCDB(), nil, 0)
	_, took = got.Attention()
	require.False(t, took)
}

func TestRemoval_endsWithThePreempted(t *testing.T) {
	b := newBench(t, nil, func(o *Options) { o.Reservations, o.Removable = true, true })
	holder, other := b.as("a"), b.as("b")
	require.Equal(t, Good, holder.order(saRegister, 0, 0, 1, 0).Status)
	require.Equal(t, Good, other.order(saRegister, 0, 0, 2, 0).Status)
	eject := CDB{opStartStopUnit, 0, 0, 0, 2}
	holder.good(CDB{opPreventAllow, 0, 0, 0, 1}, nil, 0)
	other.refused(senseRemovalPrevented, eject, nil)
	require.Equal(t, Good, other.order(saPreemptAndAbort, 0, 2, 1, 0).Status)
	other.good(eject, nil, 0)
}

// EXTENDED COPY reaches other units past their own Execute.
func TestExtendedCopy_respectsReservationsOfTheOtherUnit(t *testing.T) {
	group := &CopyGroup{}
	from := newBench(t, nil, func(o *Options) { o.CopyGroup = group })
	to := newBench(t, nil, func(o *Options) {
		o.CopyGroup, o.Reservations, o.Serial, o.NAA = group, true, "hf-0002", LocalNAA([]byte("other"))
	})
	owner := to.as("owner")
	require.Equal(t, Good, owner.order(saRegister, 0, 0, 1, 0).Status)
	require.Equal(t, Good, owner.order(saReserve, WriteExclusive, 1, 0, 0).Status)
	segment := copySegment{source: 0, destination: 1, blocks: 1}
	targets := [][]byte{from.disk.options.NAA, to.disk.options.NAA}
	_, sense := from.disk.plan(port("thief"), targets, segment)
	require.Equal(t, senseCopyTarget, sense)
	job, sense := from.disk.plan(port("owner"), targets, segment)
	require.Zero(t, sense)
	require.NoError(t, job.run(t.Context(), &Command{Nexus: port("owner")}))
	require.ErrorIs(t, job.run(t.Context(), &Command{Nexus: port("thief")}), errCopyEnded, "it came meanwhile")
	require.ErrorIs(t, job.run(t.Context(), &Command{Nexus: port("owner"), Tasks: &abortedTask{}}), errCopyEnded)
}

// Commands and changes at once: the race detector looks on, and a write of who is kept out never runs once
// the change was answered.
func TestDisk_reservationsChangeUnderLoad(t *testing.T) {
	b := newBench(t, func(l *block.Limits) {}, reservable(&memStore{}))
	var all sync.WaitGroup
	for _, name := range []string{"a", "b", "c"} {
		c := b.as(name)
		key := uint64(name[0])
		all.Go(func() {
			for range 200 {
				c.order(saRegisterAndIgnore, 0, 0, key, 1)
				c.order(saReserve, WriteExclusiveRegistrantsOnly, key, 0, 0)
				c.do(extentOf(opWrite10, 0, 0, 1), pattern(1), 0)
				c.do(CDB{opPersistentReserveIn, saReadFullStatus, 0, 0, 0, 0, 0, 2, 0}, nil, 512)
				c.order(saPreemptAndAbort, WriteExclusive, key, uint64('a'+key%3), 0)
				c.order(saClear, 0, key, 0, 0)
			}
		})
	}
	all.Wait()
	require.Empty(t, b.disk.reserver.state().check())
}
