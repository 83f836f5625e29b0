package target

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// manage sends an immediate task management function.
func (p *peer) manage(f iscsi.TaskFunction, lun uint64, ref uint32) {
	p.send(&iscsi.TaskRequest{Immediate: true, Function: f, LUN: lun, ITT: 0x1234, RefTag: ref,
		CmdSN: p.cmdSN}, nil)
}

func (p *peer) managed() iscsi.TaskResponseCode {
	g := p.receive()
	resp, err := iscsi.ParseTaskResponse(&g.h)
	require.NoError(p.t, err)
	require.EqualValues(p.t, 0x1234, resp.ITT)
	return resp.Response
}

func TestTaskManagement_answers(t *testing.T) {
	h := newHarness(t, &testAdmission{}, nil)
	p := h.dial().login().ready()
	for _, c := range []struct {
		f    iscsi.TaskFunction
		lun  uint64
		want iscsi.TaskResponseCode
	}{
		{iscsi.AbortTask, 0, iscsi.TaskDoesNotExist},
		{iscsi.AbortTaskSet, 0, iscsi.FunctionComplete},
		{iscsi.AbortTaskSet, 5 << 48, iscsi.LUNDoesNotExist},
		{iscsi.ClearTaskSet, 0, iscsi.FunctionComplete},
		{iscsi.LogicalUnitReset, 0, iscsi.FunctionComplete},
		{iscsi.LogicalUnitReset, 5 << 48, iscsi.LUNDoesNotExist},
		{iscsi.TargetWarmReset, 0, iscsi.FunctionComplete},
		{iscsi.TargetColdReset, 0, iscsi.FunctionNotSupported},
		{iscsi.ClearACA, 0, iscsi.FunctionNotSupported},
		{iscsi.TaskReassign, 0, iscsi.ReassignmentNotSupported},
	} {
		p.manage(c.f, c.lun, 0x99)
		require.Equal(t, c.want, p.managed(), "function %d", c.f)
	}
	h.stop()
}

func TestAbortTask_thatWaitsForData(t *testing.T) {
	h := newHarness(t, &testAdmission{}, nil)
	p := h.dial().login().ready()
	itt := p.write(0, 2, true, nil)
	ttt := p.r2t(itt).TTT
	p.manage(iscsi.AbortTask, 0, itt)
	require.Equal(t, iscsi.FunctionComplete, p.managed())
	// Data that was under way is dropped and the tag can be used again.
	p.dataOut(itt, ttt, make([]byte, 1024), 0, 1024)
	p.itt = itt - 1
	require.Equal(t, scsi.Good, p.status(p.testUnitReady()))
	h.stop()
}

// TestAbort_waitsForWhatRuns holds for every function that aborts: the answer comes when the command
// has left the unit, and the command is not answered.
func TestAbort_waitsForWhatRuns(t *testing.T) {
	for _, f := range []iscsi.TaskFunction{iscsi.AbortTask, iscsi.AbortTaskSet, iscsi.ClearTaskSet,
		iscsi.LogicalUnitReset, iscsi.TargetWarmReset} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate(t, opWrite16)
			h := newHarness(t, &testAdmission{units: map[uint64]scsi.LogicalUnit{0: g}},
				func(o *Options) { o.Workers = 1 })
			p := h.dial().login().ready()
			itt := p.write(0, 1, true, make([]byte, 512))
			<-g.entered
			if f != iscsi.AbortTask {
				p.write(1, 1, true, make([]byte, 512)) // queued behind it
			}
			p.manage(f, 0, itt)
			p.ping() // neither stalled nor answered yet
			close(g.release)
			require.Equal(t, iscsi.FunctionComplete, p.managed(), "function %d", f)
			p.ping() // and no response follows
			require.Empty(t, g.entered, "the queued command never ran")
			h.stop()
		})
	}
}

func TestLogicalUnitReset_tellsOtherSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, opWrite16)
		h := newHarness(t, &testAdmission{units: map[uint64]scsi.LogicalUnit{0: g, 1: newDisk(t)}}, nil)
		a := h.dial().login().ready()
		b := h.dial()
		b.isid[5] = 7
		b.login().ready()
		running := b.write(0, 1, true, make([]byte, 512))
		<-g.entered
		waits := b.write(0, 2, true, nil)
		b.r2t(waits)
		a.manage(iscsi.LogicalUnitReset, 0, iscsi.ReservedTag)
		require.Equal(t, scsi.TaskAborted, b.status(waits))
		synctest.Wait()
		a.ping()
		close(g.release)
		require.Equal(t, scsi.TaskAborted, b.status(running))
		require.Equal(t, iscsi.FunctionComplete, a.managed())
		h.stop()
	})
}

// TestStuckInlineCommand proves that a command which hangs on the reader loses it: pings are still
// answered and other commands still run.
func TestStuckInlineCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, opWrite16)
		h := newHarness(t, &testAdmission{units: map[uint64]scsi.LogicalUnit{0: g}}, nil)
		p := h.dial().login().ready()
		// Two quick ones teach the connection that this opcode may run on the reader.
		for range 2 {
			g.release <- struct{}{}
			require.Equal(t, scsi.Good, p.status(p.write(0, 1, true, make([]byte, 512))))
			<-g.entered
		}
		var c *conn
		for other := range h.server.conns {
			c = other
		}
		require.True(t, c.quick.inline(kindOf([]byte{opWrite16})))
		stuck := p.write(0, 1, true, make([]byte, 512))
		<-g.entered
		p.ping()
		require.Equal(t, scsi.Good, p.status(p.testUnitReady()))
		again := p.write(0, 1, true, make([]byte, 512))
		<-g.entered
		p.ping()
		g.release <- struct{}{}
		g.release <- struct{}{}
		first, second := p.receive(), p.receive()
		require.ElementsMatch(t, []uint32{stuck, again}, []uint32{first.h.ITT(), second.h.ITT()})
		h.stop()
	})
}
