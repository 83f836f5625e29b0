package target

import (
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// BenchmarkCommand is one command from its PDU to its reply, over TCP, with as many under way as a guest has. The
// initiator here allocates nothing: what -benchmem shows is the target's.
func BenchmarkCommand(b *testing.B) {
	for _, c := range []struct {
		name  string
		write bool
		depth int
	}{
		{"read4k/depth1", false, 1}, {"read4k/depth32", false, 32},
		{"write4k/depth1", true, 1}, {"write4k/depth32", true, 32},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkCommand(b, c.write, c.depth) })
	}
}

func benchmarkCommand(b *testing.B, write bool, depth int) {
	const bytes, blocks = 4096, 8
	h := newHarness(b, &testAdmission{}, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(l) }()
	raw, err := net.Dial("tcp", l.Addr().String())
	require.NoError(b, err)
	p := &peer{t: b, raw: raw, r: iscsi.NewReader(raw, 1<<16), isid: iscsi.ISID{0x80, 1}, cmdSN: 1}
	p.login("ImmediateData", "Yes").ready()
	p.itt++

	var out iscsi.BHS
	cmd := iscsi.SCSICommand{Read: !write, Write: write, Final: true, ExpectedDataTransferLength: bytes}
	cdb := scsi.Read16CDB(0, blocks)
	if write {
		cdb = scsi.Write16CDB(0, blocks, false)
	}
	copy(cmd.CDB[:], cdb[:])
	cmd.Encode(&out)
	sent := out[:]
	answer := make([]byte, iscsi.HeaderLen)
	if write {
		sent = append(sent, make([]byte, bytes)...)
		sent[6] = bytes >> 8
	} else {
		answer = append(answer, make([]byte, bytes)...)
	}
	send := func() {
		binary.BigEndian.PutUint32(sent[16:], p.itt)
		binary.BigEndian.PutUint32(sent[24:], uint32(p.cmdSN))
		p.itt, p.cmdSN = p.itt+1, p.cmdSN.Next()
		if _, err := raw.Write(sent); err != nil {
			b.Fatal(err)
		}
	}
	receive := func() {
		if _, err := io.ReadFull(raw, answer); err != nil {
			b.Fatal(err)
		}
		if op := iscsi.Opcode(answer[0] & 0x3f); answer[3] != 0 || op != iscsi.OpDataIn && op != iscsi.OpSCSIResponse {
			b.Fatalf("%v, status %#x", op, answer[3])
		}
	}
	for range depth {
		send()
	}
	b.ReportAllocs()
	b.SetBytes(bytes)
	for b.Loop() {
		receive()
		send()
	}
	for range depth {
		receive()
	}
	require.NoError(b, raw.Close())
	h.stop()
	require.NoError(b, <-served)
}
