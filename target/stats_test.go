package target

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

func TestStats_countWhatASessionDid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t, opWrite16)
		h := newHarness(t, &testAdmission{units: map[uint64]scsi.LogicalUnit{0: g, 300: newDisk(t)}}, nil)
		p := h.dial().login().ready()
		itt := p.write(0, 8, true, pattern(4096))
		<-g.entered
		time.Sleep(20 * time.Microsecond) // virtual
		g.release <- struct{}{}
		require.Equal(t, scsi.Good, p.status(itt))
		p.dataIn(p.read(0, 8))
		require.Equal(t, scsi.CheckCondition, p.status(p.read(1<<40, 1)))
		itt = p.write(0, 8, true, pattern(4096))
		<-g.entered
		p.manage(iscsi.AbortTask, 0, itt)
		p.ping()
		close(g.release)
		p.managed()

		stats := h.server.Stats()
		require.Equal(t, 1, stats.Connections)
		require.Zero(t, stats.Logins)
		require.Len(t, stats.Sessions, 1)
		s := stats.Sessions[0]
		require.Equal(t, []any{testTarget, testInitiator, iscsi.ISID(p.isid)}, []any{s.Target, s.Initiator, s.ISID})
		require.Len(t, s.LUNs, 2)
		require.EqualValues(t, 300, s.LUNs[1].LUN)
		lun := s.LUNs[0]
		require.EqualValues(t, 1, lun.Directions[Writes].Latency.Count)
		require.EqualValues(t, 4096, lun.Directions[Writes].Bytes)
		require.EqualValues(t, 1, lun.Directions[Writes].Latency.Buckets[1], "20 µs are more than 16 and less than 32")
		require.Equal(t, 20*time.Microsecond, lun.Directions[Writes].Latency.Sum)
		require.EqualValues(t, 2, lun.Directions[Reads].Latency.Count)
		require.EqualValues(t, 4096, lun.Directions[Reads].Bytes)
		require.EqualValues(t, []uint64{1, 0, 0, 1}, []uint64{lun.Checks, lun.Conflicts, lun.Busy, lun.Aborted})
		h.stop()
		require.Empty(t, h.server.Stats().Sessions)
	})
}

func TestLatencyBucket_fitsItsBounds(t *testing.T) {
	bounds := LatencyBounds()
	require.Len(t, bounds, latencyBuckets-1)
	for i, bound := range bounds {
		require.Equal(t, i, latencyBucket(bound))
		require.Equal(t, i+1, latencyBucket(bound+1))
	}
	require.Zero(t, latencyBucket(0))
	require.Equal(t, latencyBuckets-1, latencyBucket(time.Hour))
}

func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, &testAdmission{}, nil)
		require.ErrorIs(t, h.server.Trace(t.Context(), 1, nil), ErrNoSession)
		p := h.dial().login().ready()
		tsih := h.server.Stats().Sessions[0].TSIH
		ctx, cancel := context.WithCancel(t.Context())
		var lines []string
		ended := make(chan error)
		go func() {
			ended <- h.server.Trace(ctx, tsih, func(pdu TracedPDU) error {
				lines = append(lines, pdu.Header.Describe())
				return nil
			})
		}()
		synctest.Wait()
		require.ErrorIs(t, h.server.Trace(t.Context(), tsih, nil), ErrTraced)
		p.dataIn(p.read(0, 8))
		synctest.Wait()
		cancel()
		require.NoError(t, <-ended)
		p.ping() // of which the trace does not tell any more
		require.Equal(t, []string{
			"SCSI Command final itt=0x2 lun=0x0 cdb=88 00 00 00 00 00 00 00 00 00 00 00 00 08 00 00 expected=4096" +
				" cmdsn=2 expstatsn=0",
			"Data-In final itt=0x2 ttt=0xffffffff datasn=0 offset=0 status=0x00 residual=0" +
				" statsn=1 expcmdsn=3 maxcmdsn=130 data=4096",
		}, lines)
		var last iscsi.Opcode
		go func() {
			ended <- h.server.Trace(t.Context(), tsih, func(pdu TracedPDU) error {
				last = pdu.Header.Opcode()
				return nil
			})
		}()
		synctest.Wait()
		p.send(&iscsi.LogoutRequest{Immediate: true, ITT: 99, CmdSN: p.cmdSN}, nil)
		synctest.Wait()
		select {
		case <-ended:
			t.Fatal("the trace ended before the session's last PDU was written")
		default:
		}
		require.Equal(t, iscsi.OpLogoutResponse, p.receive().opcode())
		p.closed()
		require.NoError(t, <-ended, "the session has ended")
		require.Equal(t, iscsi.OpLogoutResponse, last)
		h.stop()
	})
}
