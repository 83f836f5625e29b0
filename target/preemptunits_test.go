package target

import (
	"context"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// at makes a command one to another unit.
func at(lun uint64, cmd iscsi.SCSICommand) iscsi.SCSICommand {
	cmd.LUN, cmd.Final = lun<<48, true
	return cmd
}

func (p *peer) reserveAt(lun uint64, action byte, key, newKey uint64) uint32 {
	list := make([]byte, 24)
	binary.BigEndian.PutUint64(list, key)
	binary.BigEndian.PutUint64(list[8:], newKey)
	return p.command(scsi.CDB{0x5f, action, 5, 0, 0, 0, 0, 0, 24},
		at(lun, iscsi.SCSICommand{Write: true, ExpectedDataTransferLength: 24}), list)
}

// hear reads what the target says until the connection ends.
func (p *peer) hear() {
	var x iscsi.BHS
	for {
		if _, err := p.r.Next(&x); err != nil {
			return
		}
	}
}

// Two initiators preempt each other at two units, while each has a command queued behind its own order: what is
// only queued is not waited for, or neither order would ever end.
func TestPreemptAndAbort_acrossUnitsEnds(t *testing.T) {
	const register, preemptAndAbort = 0, 5
	synctest.Test(t, func(t *testing.T) {
		gates := []*gate{newGate(t, 0x5f), newGate(t, 0x5f)}
		h := newHarness(t, &testAdmission{units: map[uint64]scsi.LogicalUnit{0: gates[0], 1: gates[1]}},
			func(o *Options) { o.Workers = 1 })
		var peers []*peer
		for i := range 2 {
			p := h.dial()
			p.isid[5] = byte(i + 1)
			p.login().ready()
			p.status(p.command(scsi.TestUnitReadyCDB(), at(1, iscsi.SCSICommand{}), nil))
			for lun, g := range gates {
				itt := p.reserveAt(uint64(lun), register, 0, uint64(i+1))
				<-g.entered
				time.Sleep(5 * time.Millisecond) // virtual: registering is slow, so the next one is a worker's
				g.release <- struct{}{}
				require.Equal(t, scsi.Good, p.status(itt))
			}
			peers = append(peers, p)
		}
		peers[0].reserveAt(0, preemptAndAbort, 1, 2)
		peers[1].reserveAt(1, preemptAndAbort, 2, 1)
		<-gates[0].entered
		<-gates[1].entered
		for i, p := range peers {
			p.command(scsi.Write16CDB(0, 1, false),
				at(uint64(1-i), iscsi.SCSICommand{Write: true, ExpectedDataTransferLength: 512}), make([]byte, 512))
		}
		synctest.Wait()
		for i, p := range peers {
			close(gates[i].release)
			go p.hear()
		}
		time.Sleep(time.Second) // virtual
		for _, p := range peers {
			p.raw.Close()
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, h.server.Shutdown(ctx))
		require.NoError(t, <-h.served)
	})
}

// A victim that asks another unit for much and reads none of it does not hold PREEMPT AND ABORT up.
func TestPreemptAndAbort_isNotHeldUpThroughAnotherUnit(t *testing.T) {
	const preemptAndAbort = 5
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, &testAdmission{units: map[uint64]scsi.LogicalUnit{0: newDisk(t), 1: newDisk(t)}},
			func(o *Options) { o.DataInBytes = 2 << 20 })
		victor, victim := h.registered()
		victim.status(victim.command(scsi.TestUnitReadyCDB(), at(1, iscsi.SCSICommand{}), nil))
		for range 30 {
			victim.command(scsi.Read16CDB(0, 2048),
				at(1, iscsi.SCSICommand{Read: true, ExpectedDataTransferLength: 1 << 20}), nil)
		}
		victim.read(0, 2048)
		synctest.Wait()
		began := time.Now()
		require.Equal(t, scsi.Good, victor.status(victor.reserve(preemptAndAbort, 1, 2)))
		require.Zero(t, time.Since(began))
		victim.raw.Close()
		h.stop()
	})
}

// A Data-Out that is lost may belong to a command that was aborted meanwhile: nobody else is to end it then.
func TestAfterLostData_ofAnAbortedTaskEndsItOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, &testAdmission{}, nil)
		p := h.dial().login("InitialR2T", "Yes").ready()
		itt := p.write(0, 2, true, nil)
		p.r2t(itt)
		h.server.mu.Lock()
		require.Len(t, h.server.conns, 1)
		for c := range h.server.conns {
			c.mu.Lock()
			task := c.tasks[itt]
			task.state, task.aborted = filling, true // as the leader and an abort leave it
			c.mu.Unlock()
			require.NoError(t, c.afterLostData(task, false))
			c.mu.Lock()
			require.Empty(t, c.tasks)
			require.Zero(t, c.window.used)
			require.Len(t, c.free, 1)
			c.mu.Unlock()
		}
		h.server.mu.Unlock()
		h.stop()
	})
}

// Shutdown ends although an initiator reads nothing: neither the ping nor the farewell.
func TestShutdown_ofAnInitiatorThatDoesNotRead(t *testing.T) {
	for _, farewell := range []time.Duration{0, 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t, &testAdmission{}, func(o *Options) { o.Farewell = farewell })
			p := h.dial().login()
			time.Sleep(15*time.Second + time.Millisecond) // virtual: the ping is being written
			synctest.Wait()
			began := time.Now()
			h.stop()
			require.LessOrEqual(t, time.Since(began), 35*time.Second)
			p.raw.Close()
		})
	}
}

// An initiator that logs out when it is asked to gets its answer.
func TestShutdown_answersTheLogout(t *testing.T) {
	for range 200 {
		h := newHarness(t, &testAdmission{}, func(o *Options) { o.Farewell = 2 * time.Second })
		p := h.dial().login().ready()
		done := make(chan struct{})
		go func() { defer close(done); h.stop() }()
		g := p.receive()
		require.Equal(t, iscsi.OpAsync, g.opcode())
		p.send(&iscsi.LogoutRequest{Immediate: true, ITT: 99, CmdSN: p.cmdSN}, nil)
		g = p.receive()
		require.Equal(t, iscsi.OpLogoutResponse, g.opcode())
		p.raw.Close()
		<-done
	}
}
