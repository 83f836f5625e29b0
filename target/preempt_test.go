package target

import (
	"encoding/binary"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// reserve sends PERSISTENT RESERVE OUT with its parameter list as immediate data.
func (p *peer) reserve(action byte, key, newKey uint64) uint32 {
	const writeExclusiveRegistrantsOnly = 5
	list := make([]byte, 24)
	binary.BigEndian.PutUint64(list, key)
	binary.BigEndian.PutUint64(list[8:], newKey)
	cdb := scsi.CDB{0x5f, action, writeExclusiveRegistrantsOnly, 0, 0, 0, 0, 0, 24}
	return p.command(cdb, iscsi.SCSICommand{Write: true, Final: true, ExpectedDataTransferLength: 24}, list)
}

// PREEMPT AND ABORT is answered when no command of the nexus that it preempted runs any more, and those are
// told TASK ABORTED; what waits for data never begins. Commands of others go on.
func TestPreemptAndAbort_waitsForWhatRuns(t *testing.T) {
	const register, preemptAndAbort = 0, 5
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, opWrite16)
		h := newHarness(t, &testAdmission{units: map[uint64]scsi.LogicalUnit{0: g, 1: newDisk(t)}}, nil)
		dial := func(port byte) *peer {
			p := h.dial()
			p.isid[5] = port
			return p.login().ready()
		}
		victor, victim, other := dial(1), dial(2), dial(3)
		for i, p := range []*peer{victor, victim, other} {
			require.Equal(t, scsi.Good, p.status(p.reserve(register, 0, uint64(i+1))))
		}
		running := victim.write(0, 1, true, make([]byte, 512))
		waits := victim.write(0, 2, true, nil)
		victim.r2t(waits)
		others := other.write(8, 1, true, make([]byte, 512))
		<-g.entered
		<-g.entered

		itt := victor.reserve(preemptAndAbort, 1, 2)
		require.Equal(t, scsi.TaskAborted, victim.status(waits))
		synctest.Wait()
		victor.ping() // not answered yet, and not stalled
		close(g.release)
		require.Equal(t, scsi.TaskAborted, victim.status(running))
		require.Equal(t, scsi.Good, victor.status(itt))
		require.Equal(t, scsi.Good, other.status(others))
		require.Equal(t, scsi.CheckCondition, victim.status(victim.testUnitReady()), "registrations preempted")
		require.Equal(t, scsi.Good, victim.status(victim.testUnitReady()))
		h.stop()
	})
}
