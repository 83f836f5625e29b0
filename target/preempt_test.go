package target

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

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

// registered returns two peers that have registered, with the keys 1 and 2.
func (h *harness) registered() (victor, victim *peer) {
	const register = 0
	victor, victim = h.dial(), h.dial()
	victim.isid[5] = 2
	for i, p := range []*peer{victor.login().ready(), victim.login().ready()} {
		require.Equal(h.t, scsi.Good, p.status(p.reserve(register, 0, uint64(i+1))))
	}
	return victor, victim
}

// A victim that hangs in the middle of what it sends, or does not read what it asked for, is whom PREEMPT AND ABORT
// is for: it is not waited for.
func TestPreemptAndAbort_doesNotWaitForAVictimThatHangs(t *testing.T) {
	const preemptAndAbort = 5
	for name, hang := range map[string]func(*peer){
		"in immediate data": func(p *peer) {
			var x iscsi.BHS
			cmd := iscsi.SCSICommand{Write: true, Final: true, ExpectedDataTransferLength: 512, ITT: 77, CmdSN: p.cmdSN}
			cdb := scsi.Write16CDB(0, 1, false)
			copy(cmd.CDB[:], cdb[:])
			cmd.Encode(&x)
			x[6] = 2 // 512 bytes, of which none come
			_, err := p.raw.Write(x[:])
			require.NoError(p.t, err)
		},
		"not reading": func(p *peer) {
			for range 8 {
				p.read(0, 2048)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t, &testAdmission{}, func(o *Options) { o.DataInBytes = 2 << 20 })
				victor, victim := h.registered()
				hang(victim)
				synctest.Wait()
				began := time.Now()
				require.Equal(t, scsi.Good, victor.status(victor.reserve(preemptAndAbort, 1, 2)))
				require.Zero(t, time.Since(began))
				victim.raw.Close()
				h.stop()
			})
		})
	}
}

// Task management functions that are not answered are few, however many come.
func TestTaskManagement_isBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, opWrite16)
		h := newHarness(t, &testAdmission{units: map[uint64]scsi.LogicalUnit{0: g}}, nil)
		p := h.dial().login().ready()
		itt := p.write(0, 1, true, make([]byte, 512))
		<-g.entered
		for range immediateMax {
			p.manage(iscsi.AbortTask, 0, itt)
		}
		p.ping()
		p.manage(iscsi.AbortTask, 0, itt)
		require.Equal(t, iscsi.OpReject, p.receive().opcode())
		close(g.release)
		for range immediateMax {
			require.Equal(t, iscsi.FunctionComplete, p.managed())
		}
		p.manage(iscsi.AbortTask, 0, itt)
		require.Equal(t, iscsi.TaskDoesNotExist, p.managed())
		h.stop()
	})
}
