package initiator

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// serveReads answers reads without a look at anything but their length, and without allocating.
func serveReads(conn net.Conn, zeroes []byte) {
	in := iscsi.NewReader(conn, 64<<10)
	in.SetMaxData(1 << 20)
	var h iscsi.BHS
	var out iscsi.Batch
	expect, statSN := iscsi.Serial(firstCmdSN), iscsi.Serial(1000)
	for {
		if _, err := in.Next(&h); err != nil {
			return
		}
		command, err := iscsi.ParseSCSICommand(&h)
		if err != nil {
			return
		}
		expect, statSN = expect+1, statSN+1
		status := scsi.Good
		answer := iscsi.DataIn{Final: true, HasStatus: true, Status: byte(status), ITT: command.ITT,
			TTT: iscsi.ReservedTag, StatSN: statSN, ExpCmdSN: expect, MaxCmdSN: expect + 63}
		answer.Encode(&h)
		out.Append(&h, zeroes[:command.ExpectedDataTransferLength])
		if _, err := out.WriteTo(conn); err != nil {
			return
		}
		out.Reset()
	}
}

func TestRequestQueue_doesNotAllocate(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		p := &peer{t: t, conn: conn, in: iscsi.NewReader(conn, 2048), statSN: 100, window: 64, expCmd: firstCmdSN}
		p.login("")
		serveReads(conn, make([]byte, 64<<10))
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	s, err := Login(t.Context(), conn, testOptions())
	require.NoError(t, err)
	q, err := NewRequestQueue(s, Unit{Limits: block.Limits{SizeBytes: 1 << 30, BlockBytes: 512, MaxBytes: 1 << 20}})
	require.NoError(t, err)

	const depth = 16
	done := make(chan error, depth)
	requests := make([]block.Request, depth)
	for i := range requests {
		requests[i] = block.Request{Op: block.OpRead, Range: block.Range{Len: 4096}, Data: make([]byte, 4096),
			Complete: func(_ *block.Request, err error) { done <- err }}
	}
	run := func() {
		for i := range requests {
			q.Submit(&requests[i])
		}
		for range requests {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	run()
	// Not zero: the race detector makes sync.Pool forget at random.
	require.Less(t, testing.AllocsPerRun(50, run), float64(depth), "of %d requests", depth)
	s.Close()
	<-served
}
