package target

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// pattern is n bytes that differ at every offset a test could confuse.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// r2t receives an R2T for the task.
func (p *peer) r2t(itt uint32) iscsi.R2T {
	g := p.receive()
	pdu, err := iscsi.ParseR2T(&g.h)
	require.NoError(p.t, err)
	require.Equal(p.t, itt, pdu.ITT)
	return pdu
}

// dataOut sends data[from:to] in PDUs of at most 8192 bytes.
func (p *peer) dataOut(itt, ttt uint32, data []byte, from, to int) {
	for sn := iscsi.Serial(0); from < to; sn++ {
		n := min(8192, to-from)
		p.send(&iscsi.DataOut{Final: from+n == to, ITT: itt, TTT: ttt, DataSN: sn,
			BufferOffset: uint32(from)}, data[from:from+n])
		from += n
	}
}

// answer sends what R2Ts ask for until the whole of data was sent.
func (p *peer) answer(itt uint32, data []byte, from int) {
	for sn := iscsi.Serial(0); from < len(data); sn++ {
		r := p.r2t(itt)
		require.Equal(p.t, sn, r.R2TSN)
		require.EqualValues(p.t, from, r.BufferOffset)
		end := from + int(r.DesiredDataTransferLength)
		p.dataOut(itt, r.TTT, data, from, end)
		from = end
	}
}

// TestWrite_everyWayOfData writes 200 KiB with each mix of immediate, unsolicited and solicited data,
// with and without digests, and reads it back.
func TestWrite_everyWayOfData(t *testing.T) {
	data := pattern(200 << 10)
	for _, digest := range []string{"None", "CRC32C"} {
		for _, c := range []struct {
			name                   string
			immediate, unsolicited int // bytes
			keys                   []string
		}{
			{"solicited only", 0, 0, []string{"InitialR2T", "Yes", "ImmediateData", "No"}},
			{"immediate", 8192, 0, []string{"InitialR2T", "Yes", "ImmediateData", "Yes"}},
			{"unsolicited", 0, 65536, []string{"InitialR2T", "No", "ImmediateData", "No"}},
			{"both", 4096, 61440, []string{"InitialR2T", "No", "ImmediateData", "Yes"}},
			{"less than might be", 512, 8192, []string{"InitialR2T", "No"}},
			{"small bursts", 512, 0, []string{"MaxBurstLength", "16384"}},
		} {
			t.Run(c.name+" "+digest, func(t *testing.T) {
				h := newHarness(t, &testAdmission{}, nil)
				p := h.dial().login(append(c.keys, "HeaderDigest", digest, "DataDigest", digest)...).ready()
				itt := p.write(5, 400, c.unsolicited == 0, data[:c.immediate])
				sent := c.immediate + c.unsolicited
				p.dataOut(itt, iscsi.ReservedTag, data, c.immediate, sent)
				p.answer(itt, data, sent)
				require.Equal(t, scsi.Good, p.status(itt))
				require.True(t, bytes.Equal(data, p.dataIn(p.read(5, 400))))
				h.stop()
			})
		}
	}
}

func TestRead_segmentsAndBursts(t *testing.T) {
	h := newHarness(t, &testAdmission{}, nil)
	p := h.dial().login("MaxRecvDataSegmentLength", "3072", "MaxBurstLength", "8192").ready()
	p.read(0, 40)
	var lengths []int
	var finals []bool
	for done := false; !done; {
		g := p.receive()
		pdu, err := iscsi.ParseDataIn(&g.h)
		require.NoError(t, err)
		lengths, finals = append(lengths, len(g.data)), append(finals, pdu.Final)
		done = pdu.HasStatus
	}
	require.Equal(t, []int{3072, 3072, 2048, 3072, 3072, 2048, 3072, 1024}, lengths)
	require.Equal(t, []bool{false, false, true, false, false, true, false, true}, finals)
	h.stop()
}

// TestWrite_memoryIsBounded holds two large writes against room for one: the second one's R2T comes
// when the first has ended.
func TestWrite_memoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, &testAdmission{}, func(o *Options) {
			o.DataOutBytes, o.MaxBurstBytes, o.FirstBurstBytes = 128<<10, 128<<10, 4096
		})
		p := h.dial().login().ready()
		data := pattern(100 << 10)
		a := p.write(0, 200, true, data[:4096])
		first := p.r2t(a)
		b := p.write(1000, 200, true, data[:4096])
		p.ping() // nothing came before the answer
		p.dataOut(a, first.TTT, data, 4096, len(data))
		var codes []iscsi.Opcode
		var second iscsi.R2T
		for range 2 {
			g := p.receive()
			codes = append(codes, g.opcode())
			if g.opcode() == iscsi.OpR2T {
				second, _ = iscsi.ParseR2T(&g.h)
			}
		}
		require.ElementsMatch(t, []iscsi.Opcode{iscsi.OpSCSIResponse, iscsi.OpR2T}, codes)
		require.Equal(t, b, second.ITT)
		p.dataOut(b, second.TTT, data, 4096, len(data))
		require.Equal(t, scsi.Good, p.status(b))
		require.True(t, bytes.Equal(data, p.dataIn(p.read(1000, 200))))
		h.stop()
	})
}

func TestCommand_residuals(t *testing.T) {
	h := newHarness(t, &testAdmission{}, nil)
	p := h.dial().login().ready()
	for _, c := range []struct {
		name                string
		cdb                 scsi.CDB
		cmd                 iscsi.SCSICommand
		data                int
		residual            uint32
		overflow, underflow bool
	}{
		{"write expects more", scsi.Write16CDB(0, 1, false), iscsi.SCSICommand{Write: true,
			ExpectedDataTransferLength: 2048}, 2048, 1536, false, true},
		{"write expects less", scsi.Write16CDB(0, 4, false), iscsi.SCSICommand{Write: true,
			ExpectedDataTransferLength: 1024}, 1024, 1024, true, false},
		{"read expects nothing", scsi.Read16CDB(0, 2), iscsi.SCSICommand{}, 0, 1024, true, false},
		{"neither", scsi.TestUnitReadyCDB(), iscsi.SCSICommand{}, 0, 0, false, false},
	} {
		c.cmd.Final = true
		p.command(c.cdb, c.cmd, make([]byte, c.data))
		g := p.receive()
		resp, err := iscsi.ParseSCSIResponse(&g.h)
		require.NoError(t, err, c.name)
		require.Equal(t, c.residual, resp.Residual, c.name)
		require.Equal(t, c.overflow, resp.Overflow, c.name)
		require.Equal(t, c.underflow, resp.Underflow, c.name)
	}
	p.command(scsi.Read16CDB(0, 1),
		iscsi.SCSICommand{Read: true, Final: true, ExpectedDataTransferLength: 4096}, nil)
	g := p.receive()
	in, err := iscsi.ParseDataIn(&g.h)
	require.NoError(t, err)
	require.True(t, in.Underflow && in.HasStatus)
	require.EqualValues(t, 3584, in.Residual)
	h.stop()
}

func TestCommand_outsideTheWindowIsIgnored(t *testing.T) {
	h := newHarness(t, &testAdmission{}, func(o *Options) { o.QueueDepth = 4 })
	p := h.dial().login().ready()
	next := p.cmdSN
	require.Equal(t, next+3, p.maxCmdSN)
	for _, sn := range []iscsi.Serial{next - 1, next + 4, next + 1<<30} {
		p.cmdSN = sn
		p.testUnitReady()
	}
	p.cmdSN = next
	require.Equal(t, scsi.Good, p.status(p.testUnitReady()), "only this one is answered")
	h.stop()
}

// TestProtocolErrors ends the connection for each rule that an initiator can break.
func TestProtocolErrors(t *testing.T) {
	for name, c := range map[string]struct {
		do     func(p *peer)
		reason iscsi.RejectReason // zero: the connection just ends
	}{
		"CmdSN gap": {func(p *peer) { p.cmdSN += 2; p.testUnitReady() }, 0},
		"immediate data without write": {func(p *peer) {
			p.command(scsi.TestUnitReadyCDB(), iscsi.SCSICommand{Final: true}, []byte("data"))
		}, iscsi.RejectProtocolError},
		"immediate data beyond the expected": {func(p *peer) { p.write(0, 1, true, make([]byte, 1024)) },
			iscsi.RejectProtocolError},
		"unsolicited data with InitialR2T": {func(p *peer) { p.write(0, 1, false, nil) },
			iscsi.RejectProtocolError},
		"Data-Out with another tag": {func(p *peer) {
			itt := p.write(0, 2, true, nil)
			p.dataOut(itt, p.r2t(itt).TTT+1, make([]byte, 1024), 0, 1024)
		}, iscsi.RejectInvalidPDUField},
		"Data-Out out of sequence": {func(p *peer) {
			itt := p.write(0, 2, true, nil)
			p.dataOut(itt, p.r2t(itt).TTT, make([]byte, 1024), 512, 1024)
		}, iscsi.RejectProtocolError},
		"Data-Out beyond the R2T": {func(p *peer) {
			itt := p.write(0, 2, true, nil)
			p.dataOut(itt, p.r2t(itt).TTT, make([]byte, 2048), 0, 2048)
		}, iscsi.RejectProtocolError},
		"data ends early": {func(p *peer) {
			itt := p.write(0, 2, true, nil)
			p.dataOut(itt, p.r2t(itt).TTT, make([]byte, 512), 0, 512)
		}, iscsi.RejectProtocolError},
		"login in full feature phase": {func(p *peer) { p.send(&iscsi.LoginRequest{}, nil) },
			iscsi.RejectProtocolError},
		"data segment too long": {func(p *peer) {
			p.send(&iscsi.NOPOut{Immediate: true, ITT: 1}, make([]byte, 256<<10+1))
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, &testAdmission{}, nil)
			p := h.dial().login("InitialR2T", "Yes").ready()
			sent := make(chan struct{})
			if c.reason == 0 {
				// The target hangs up in the middle of what is sent.
				go func() {
					defer close(sent)
					q := *p
					q.t = quiet{t}
					c.do(&q)
				}()
				p.closed()
				p.raw.Close()
				<-sent
			} else {
				c.do(p)
				g := p.receive()
				pdu, err := iscsi.ParseReject(&g.h)
				require.NoError(t, err)
				require.Equal(t, c.reason, pdu.Reason)
				require.Len(t, g.data, iscsi.HeaderLen)
				p.closed()
			}
			h.stop()
		})
	}
}

// quiet is for a peer whose writes may fail because the target hangs up.
type quiet struct{ testing.TB }

func (quiet) Errorf(string, ...any) {}
func (quiet) FailNow()              {}

// TestRejects that do not end the connection.
func TestRejects(t *testing.T) {
	h := newHarness(t, &testAdmission{}, nil)
	p := h.dial().login().ready()
	for _, c := range []struct {
		pdu    encoder
		reason iscsi.RejectReason
	}{
		{&iscsi.SNACK{Type: iscsi.SNACKStatus}, iscsi.RejectSNACK},
		{raw{0: 0x40 | 0x1c}, iscsi.RejectNotSupported},
		{&iscsi.SCSICommand{Immediate: true, Final: true, Read: true, Write: true, ITT: 5},
			iscsi.RejectNotSupported},
	} {
		p.send(c.pdu, nil)
		g := p.receive()
		pdu, err := iscsi.ParseReject(&g.h)
		require.NoError(t, err)
		require.Equal(t, c.reason, pdu.Reason)
		p.ping()
	}
	h.stop()
}

// raw is a header as it is.
type raw iscsi.BHS

func (r raw) Encode(h *iscsi.BHS) { *h = iscsi.BHS(r) }

// A Data-Out that is missing costs its command, once the sequence has ended, and nothing is written.
func TestWrite_lostDataOut(t *testing.T) {
	for name, numbers := range map[string][]iscsi.Serial{
		"the first is missing": {1, 2}, "the second": {0, 2}, "twice the same": {0, 0}, "reversed": {1, 0},
		"far away": {0, 0xffffffff},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, &testAdmission{}, nil)
			p := h.dial().login("InitialR2T", "Yes").ready()
			itt := p.write(0, 2, true, nil)
			ttt := p.r2t(itt).TTT
			for i, sn := range numbers {
				p.send(&iscsi.DataOut{Final: i == 1, ITT: itt, TTT: ttt, DataSN: sn, BufferOffset: uint32(512 * i)},
					pattern(512))
			}
			g := p.receive()
			pdu, err := iscsi.ParseSCSIResponse(&g.h)
			require.NoError(t, err)
			require.Equal(t, itt, pdu.ITT)
			require.Equal(t, byte(scsi.CheckCondition), pdu.Status)
			sense, err := scsi.ParseSense(g.data[2:])
			require.NoError(t, err)
			require.Equal(t, scsi.LostData(), sense)
			require.Equal(t, make([]byte, 1024), p.dataIn(p.read(0, 2)))
		})
	}
}
