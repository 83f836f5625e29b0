package target

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

const opWrite16 = 0x8a

func TestSession_reinstatementDrainsBeforeAdmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, opWrite16)
		running := false // a command of the old session is in the device
		adm := &testAdmission{units: map[uint64]scsi.LogicalUnit{0: g}}
		adm.before = func(Attempt) { require.False(t, running, "admitted before the old session drained") }
		h := newHarness(t, adm, nil)
		old := h.dial().login().ready()
		old.write(0, 1, true, make([]byte, 512))
		<-g.entered
		running = true

		again := h.dial() // the same ISID
		done := make(chan struct{})
		go func() { again.login(); close(done) }()
		old.closed() // killed at once
		synctest.Wait()
		require.EqualValues(t, 1, adm.admitted.Load(), "the login waits")
		require.Zero(t, adm.closed.Load())
		running = false
		close(g.release)
		<-done
		require.EqualValues(t, 1, adm.closed.Load())
		again.ping()
		h.stop()
	})
}

func TestSession_othersISIDsCoexist(t *testing.T) {
	h := newHarness(t, &testAdmission{}, nil)
	a := h.dial().login().ready()
	b := h.dial()
	b.isid[5] = 1
	b.login().ready()
	a.ping()
	b.ping()
	require.EqualValues(t, 2, h.adm.admitted.Load())
	h.stop()
}

func TestSession_unknownTSIH(t *testing.T) {
	h := newHarness(t, &testAdmission{}, nil)
	p := h.dial()
	p.send(&iscsi.LoginRequest{Transit: true, CSG: ops, NSG: ffp, ISID: p.isid, TSIH: 77, ITT: 1},
		iscsi.AppendText(nil, names()...))
	g := p.receive()
	resp, err := iscsi.ParseLoginResponse(&g.h)
	require.NoError(t, err)
	require.Equal(t, iscsi.LoginSessionDoesNotExist, resp.Status)
	h.stop()
}

// TestSession_kill proves the order that a fence relies on: after Kill nothing begins to execute,
// and Closed comes once, when what was executing has ended.
func TestSession_kill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, opWrite16)
		h := newHarness(t, &testAdmission{units: map[uint64]scsi.LogicalUnit{0: g}},
			func(o *Options) { o.Workers = 1 })
		p := h.dial().login().ready()
		p.write(0, 1, true, make([]byte, 512))
		<-g.entered
		p.write(1, 1, true, make([]byte, 512))  // waits for the worker
		p.write(2, 2, false, make([]byte, 512)) // waits for its data
		synctest.Wait()
		h.adm.controls[0].Kill("test")
		h.adm.controls[0].Kill("twice is harmless")
		p.closed()
		synctest.Wait()
		require.Zero(t, h.adm.closed.Load(), "a command still runs")
		close(g.release)
		synctest.Wait()
		require.EqualValues(t, 1, h.adm.closed.Load())
		require.Empty(t, g.entered, "no further command reached the unit")
		h.stop()
	})
}

// slowReset is a connection that stays open after Close until it is let go, as one whose reset takes
// its time.
type slowReset struct {
	net.Conn
	let chan struct{}
}

func (c slowReset) Close() error {
	select {
	case <-c.let:
		return c.Conn.Close()
	default:
		return nil
	}
}

// The gate is shut when Kill returns, however long the connection lives on.
func TestSession_killDoesNotWaitForTheReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, opWrite16)
		h := newHarness(t, &testAdmission{units: map[uint64]scsi.LogicalUnit{0: g}}, nil)
		near, far := net.Pipe()
		let := make(chan struct{})
		h.l.conns <- slowReset{far, let}
		p := &peer{t: t, raw: near, r: iscsi.NewReader(near, 1<<16), isid: iscsi.ISID{0x80, 1}, cmdSN: 1}
		p.login().ready()
		h.adm.controls[0].Kill("test")
		p.write(0, 1, true, make([]byte, 512))
		synctest.Wait()
		require.Empty(t, g.entered, "a command that came after the kill reached the unit")
		close(let)
		require.NoError(t, near.Close())
		h.stop()
	})
}

func TestSession_killDuringAdmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, &testAdmission{}, nil)
		first := true
		entered, leave := make(chan struct{}), make(chan struct{})
		h.adm.before = func(Attempt) {
			if first {
				first = false
				close(entered)
				<-leave
			}
		}
		slow, fast := h.dial(), h.dial()
		go func() {
			slow.send(&iscsi.LoginRequest{Transit: true, CSG: ops, NSG: ffp, ISID: slow.isid, ITT: 1},
				iscsi.AppendText(nil, names()...))
		}()
		<-entered
		done := make(chan struct{})
		go func() { fast.login(); close(done) }()
		slow.closed() // the newer login of the same nexus wins
		synctest.Wait()
		require.Zero(t, h.adm.admitted.Load())
		close(leave)
		<-done
		fast.ping()
		h.stop()
	})
}

func TestSession_shutdownFinishesWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, opWrite16)
		h := newHarness(t, &testAdmission{units: map[uint64]scsi.LogicalUnit{0: g}}, nil)
		p := h.dial().login().ready()
		itt := p.write(0, 1, true, make([]byte, 512))
		<-g.entered
		done := make(chan struct{})
		go func() { h.stop(); close(done) }()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("Shutdown did not wait")
		default:
		}
		close(g.release)
		require.Equal(t, scsi.Good, p.status(itt), "what executed is told")
		p.closed()
		<-done
	})
}

// Shutdown asks initiators to log out and waits for those that do; who does not is told that its session is
// dropped.
func TestShutdown_saysFarewell(t *testing.T) {
	for _, leaves := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			h := newHarness(t, &testAdmission{}, func(o *Options) { o.Farewell = 5 * time.Second })
			p := h.dial().login().ready()
			began := time.Now()
			done := make(chan struct{})
			go func() { h.stop(); close(done) }()
			hear := func() iscsi.Async {
				g := p.receive()
				pdu, err := iscsi.ParseAsync(&g.h)
				require.NoError(t, err)
				return pdu
			}
			asked := hear()
			require.Equal(t, iscsi.AsyncLogoutRequest, asked.Event)
			require.EqualValues(t, 5, asked.Parameter3)
			require.Equal(t, scsi.Good, p.status(p.testUnitReady()), "commands go on")
			if leaves {
				p.send(&iscsi.LogoutRequest{Immediate: true, ITT: 99, CmdSN: p.cmdSN}, nil)
				pdu := p.receive()
				_, err := iscsi.ParseLogoutResponse(&pdu.h)
				require.NoError(t, err)
			} else {
				require.Equal(t, iscsi.AsyncSessionDropped, hear().Event)
			}
			p.closed()
			<-done
			require.Equal(t, leaves, time.Since(began) == 0)
		})
	}
}

func TestSession_shutdownGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, opWrite16)
		h := newHarness(t, &testAdmission{units: map[uint64]scsi.LogicalUnit{0: g}}, nil)
		p := h.dial().login().ready()
		p.write(0, 1, true, make([]byte, 512))
		<-g.entered
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, h.server.Shutdown(ctx), context.DeadlineExceeded)
		p.closed()
		require.Zero(t, h.adm.closed.Load(), "the command still runs")
		close(g.release)
		h.stop()
	})
}

// Close answers nothing any more and begins nothing, and does not wait for a device that is stuck; Wait does.
func TestServer_closeEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, opWrite16)
		h := newHarness(t, &testAdmission{units: map[uint64]scsi.LogicalUnit{0: g}}, nil)
		p := h.dial().login().ready()
		p.write(0, 1, true, make([]byte, 512))
		<-g.entered
		idle := h.dial()
		require.NoError(t, h.server.Close())
		p.closed()
		idle.closed()
		require.NoError(t, <-h.served)
		require.Zero(t, h.adm.closed.Load(), "the command still runs")
		waited := make(chan struct{})
		go func() { h.server.Wait(); close(waited) }()
		synctest.Wait()
		select {
		case <-waited:
			t.Fatal("Wait did not wait")
		default:
		}
		close(g.release)
		<-waited
		require.EqualValues(t, 1, h.adm.closed.Load())
		require.NoError(t, h.server.Close(), "again is the same")
	})
}

func TestSession_logoutDrainsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, opWrite16)
		h := newHarness(t, &testAdmission{units: map[uint64]scsi.LogicalUnit{0: g}}, nil)
		p := h.dial().login().ready()
		itt := p.write(0, 1, true, make([]byte, 512))
		<-g.entered
		p.send(&iscsi.LogoutRequest{Immediate: true, ITT: 99, CmdSN: p.cmdSN}, nil)
		synctest.Wait()
		g.release <- struct{}{}
		require.Equal(t, scsi.Good, p.status(itt))
		pdu := p.receive()
		resp, err := iscsi.ParseLogoutResponse(&pdu.h)
		require.NoError(t, err)
		require.Equal(t, iscsi.LogoutClosed, resp.Response)
		p.closed()
		h.stop()
	})
}

// TestSession_isOverBeforeItsPeerKnows: what a session held, as a reservation of its nexus, is free when its
// initiator hears of its end: the next command, over another session, counts on that.
func TestSession_isOverBeforeItsPeerKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newDisk(t)
		adm := &testAdmission{units: map[uint64]scsi.LogicalUnit{0: disk}}
		h := newHarness(t, adm, nil)
		p := h.dial().login().ready()
		other := h.dial()
		other.isid[5] = 1
		other.login().ready()
		const reserve6 = 0x16
		take := func(p *peer) scsi.Status {
			return p.status(p.command(scsi.CDB{reserve6}, iscsi.SCSICommand{Final: true}, nil))
		}
		require.Equal(t, scsi.Good, take(p))
		require.Equal(t, scsi.ReservationConflict, take(other))
		p.send(&iscsi.LogoutRequest{Immediate: true, ITT: 99, CmdSN: p.cmdSN}, nil)
		synctest.Wait() // the answer is under way: nobody has read it
		require.EqualValues(t, 1, adm.closed.Load())
		require.Equal(t, scsi.Good, take(other))
		pdu := p.receive()
		_, err := iscsi.ParseLogoutResponse(&pdu.h)
		require.NoError(t, err)
		p.closed()
		h.stop()
	})
}

func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, &testAdmission{}, func(o *Options) { o.KeepAlive = 5 * time.Second })
		p := h.dial().login()
		start := time.Now()
		for i := range 3 {
			g := p.receive()
			ask, err := iscsi.ParseNOPIn(&g.h)
			require.NoError(t, err)
			require.NotEqual(t, iscsi.ReservedTag, ask.TTT)
			if i == 2 {
				break // this one stays without an answer
			}
			p.send(&iscsi.NOPOut{Immediate: true, ITT: iscsi.ReservedTag, TTT: ask.TTT}, nil)
		}
		p.closed()
		require.Equal(t, 30*time.Second, time.Since(start), "asked at 5, 15 and 25 s, given up at 30 s")
		h.stop()
	})
}

func TestServer_tooManyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, &testAdmission{}, func(o *Options) { o.MaxConnections = 1 })
		first := h.dial().login()
		h.dial().closed()
		first.ping()
		h.stop()
	})
}

func TestOptions_allFaultsAtOnce(t *testing.T) {
	_, err := New(Options{QueueDepth: -1, Workers: 5000, MaxSegmentBytes: 3})
	require.ErrorContains(t, err, "Admission")
	require.ErrorContains(t, err, "QueueDepth")
	require.ErrorContains(t, err, "Workers")
	require.ErrorContains(t, err, "MaxSegmentBytes")
}
