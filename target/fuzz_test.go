package target

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// FuzzConnection feeds a session whatever an initiator might send after login. Nothing may panic,
// nothing may hang, and the session must end with Closed called once.
func FuzzConnection(f *testing.F) {
	stream := func(pdus ...encoder) []byte {
		var b iscsi.Batch
		for _, p := range pdus {
			var h iscsi.BHS
			p.Encode(&h)
			b.Append(&h, []byte("data segment"))
		}
		var out bytes.Buffer
		_, err := b.WriteTo(&out)
		require.NoError(f, err)
		return out.Bytes()
	}
	write := iscsi.SCSICommand{Write: true, ITT: 1, CmdSN: 1, ExpectedDataTransferLength: 1024,
		CDB: scsi.Write16CDB(0, 2, false)}
	read := iscsi.SCSICommand{Read: true, Final: true, ITT: 2, CmdSN: 1, ExpectedDataTransferLength: 1024,
		CDB: scsi.Read16CDB(0, 2)}
	f.Add(stream(&write, &iscsi.DataOut{Final: true, ITT: 1, TTT: iscsi.ReservedTag, BufferOffset: 12}))
	f.Add(stream(&iscsi.NOPOut{Immediate: true, ITT: 3},
		&iscsi.TextRequest{Final: true, TTT: iscsi.ReservedTag}))
	f.Add(stream(&iscsi.TaskRequest{Immediate: true, Function: iscsi.TargetWarmReset},
		&iscsi.LogoutRequest{}))
	f.Add(stream(&read))
	unit := newDisk(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		adm := &testAdmission{units: map[uint64]scsi.LogicalUnit{0: unit}}
		s, err := New(Options{Admission: adm, QueueDepth: 4, Workers: 2})
		require.NoError(t, err)
		near, far := net.Pipe()
		s.accept(far)
		p := &peer{t: t, raw: near, r: iscsi.NewReader(near, 4096), cmdSN: 1}
		p.login("InitialR2T", "No")
		go func() { _, _ = io.Copy(io.Discard, near) }()
		_, _ = near.Write(data)
		near.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.NoError(t, s.Shutdown(ctx))
		require.EqualValues(t, 1, adm.closed.Load())
	})
}
