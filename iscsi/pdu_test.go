package iscsi

import (
	"bytes"
	"encoding/hex"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pduCase is one PDU as a struct and as the bytes that RFC 7143 draws for it. The segment lengths
// belong to the framing and are those of data.
type pduCase struct {
	name   string
	header string // hexadecimal, spaces for the eye
	data   string
	pdu    interface{ Encode(*BHS) }
	parse  func(*BHS) (any, error)
}

var pduCases = []pduCase{
	{
		name: "NOP-Out",
		header: "40 80 0000 00 000004 0001000000000000 00000011 ffffffff 00000007 00000009" +
			"00000000 00000000 00000000 00000000",
		data: "ping",
		pdu: &NOPOut{Immediate: true, LUN: 1 << 48, ITT: 0x11, TTT: ReservedTag, CmdSN: 7,
			ExpStatSN: 9},
		parse: func(h *BHS) (any, error) { p, err := ParseNOPOut(h); return &p, err },
	},
	{
		name: "NOP-In",
		header: "20 80 0000 00 000000 0000000000000000 ffffffff 00000021 00000005 00000006" +
			"00000026 00000000 00000000 00000000",
		pdu:   &NOPIn{ITT: ReservedTag, TTT: 0x21, StatSN: 5, ExpCmdSN: 6, MaxCmdSN: 0x26},
		parse: func(h *BHS) (any, error) { p, err := ParseNOPIn(h); return &p, err },
	},
	{
		name: "SCSI Command",
		header: "01 e1 0000 00 000008 0002000000000000 0000abcd 00001000 fffffffe 00000003" +
			"2a000000000800000800000000000000",
		data: "8 bytes.",
		pdu: &SCSICommand{Final: true, Read: true, Write: true, Attribute: Simple, LUN: 2 << 48,
			ITT: 0xabcd, ExpectedDataTransferLength: 4096, CmdSN: 0xfffffffe, ExpStatSN: 3,
			CDB: [16]byte{0x2a, 0, 0, 0, 0, 8, 0, 0, 8}},
		parse: func(h *BHS) (any, error) { p, err := ParseSCSICommand(h); return &p, err },
	},
	{
		name: "SCSI Response",
		header: "21 92 0102 00 000005 0000000000000000 0000abcd 00000033 00000004 00000008" +
			"00000028 00000002 00000001 00000200",
		data: "\x00\x03abc",
		pdu: &SCSIResponse{Underflow: true, BidiFlags: 0x10, Response: TargetFailure, Status: 2,
			ITT: 0xabcd, SNACKTag: 0x33, StatSN: 4, ExpCmdSN: 8, MaxCmdSN: 0x28, ExpDataSN: 2,
			BidiResidual: 1, Residual: 512},
		parse: func(h *BHS) (any, error) { p, err := ParseSCSIResponse(h); return &p, err },
	},
	{
		name: "Task Management Function Request",
		header: "42 85 0000 00 000000 0003000000000000 00000099 00000098 00000010 00000011" +
			"0000000f 00000001 00000000 00000000",
		pdu: &TaskRequest{Immediate: true, Function: LogicalUnitReset, LUN: 3 << 48, ITT: 0x99,
			RefTag: 0x98, CmdSN: 16, ExpStatSN: 17, RefCmdSN: 15, ExpDataSN: 1},
		parse: func(h *BHS) (any, error) { p, err := ParseTaskRequest(h); return &p, err },
	},
	{
		name: "Task Management Function Response",
		header: "22 80 0500 00 000000 0000000000000000 00000099 00000000 00000001 00000002" +
			"00000003 00000000 00000000 00000000",
		pdu: &TaskResponse{Response: FunctionNotSupported, ITT: 0x99, StatSN: 1, ExpCmdSN: 2,
			MaxCmdSN: 3},
		parse: func(h *BHS) (any, error) { p, err := ParseTaskResponse(h); return &p, err },
	},
	{
		name: "Login Request",
		header: "43 87 0000 00 00000a 4000 0137 0002 0304 0000002a 00010000 00000001 00000000" +
			"00000000 00000000 00000000 00000000",
		data: "Key=value\x00",
		pdu: &LoginRequest{Transit: true, CSG: OperationalNegotiation, NSG: FullFeaturePhase,
			ISID: ISID{0x40, 0, 1, 0x37, 0, 2}, TSIH: 0x304, ITT: 0x2a, CID: 1, CmdSN: 1},
		parse: func(h *BHS) (any, error) { p, err := ParseLoginRequest(h); return &p, err },
	},
	{
		name: "Login Response",
		header: "23 40 0000 00 000004 4000 0137 0002 0000 0000002a 00000000 00000001 00000002" +
			"00000003 0000 0000 00000000 00000000",
		data: "A=b\x00",
		pdu: &LoginResponse{Continue: true, ISID: ISID{0x40, 0, 1, 0x37, 0, 2}, ITT: 0x2a,
			StatSN: 1, ExpCmdSN: 2, MaxCmdSN: 3},
		parse: func(h *BHS) (any, error) { p, err := ParseLoginResponse(h); return &p, err },
	},
	{
		name: "Login Response that refuses",
		header: "23 00 0000 00 000000 4000 0137 0002 0000 0000002a 00000000 00000001 00000002" +
			"00000003 0201 0000 00000000 00000000",
		pdu: &LoginResponse{ISID: ISID{0x40, 0, 1, 0x37, 0, 2}, ITT: 0x2a, StatSN: 1, ExpCmdSN: 2,
			MaxCmdSN: 3, Status: LoginAuthFailure},
		parse: func(h *BHS) (any, error) { p, err := ParseLoginResponse(h); return &p, err },
	},
	{
		name: "Text Request",
		header: "04 80 0000 00 000010 0000000000000000 00000005 ffffffff 00000006 00000007" +
			"00000000 00000000 00000000 00000000",
		data:  "SendTargets=All\x00",
		pdu:   &TextRequest{Final: true, ITT: 5, TTT: ReservedTag, CmdSN: 6, ExpStatSN: 7},
		parse: func(h *BHS) (any, error) { p, err := ParseTextRequest(h); return &p, err },
	},
	{
		name: "Text Response",
		header: "24 40 0000 00 000003 0000000000000000 00000005 00000044 00000006 00000007" +
			"00000027 00000000 00000000 00000000",
		data: "a=b",
		pdu: &TextResponse{Continue: true, ITT: 5, TTT: 0x44, StatSN: 6, ExpCmdSN: 7,
			MaxCmdSN: 0x27},
		parse: func(h *BHS) (any, error) { p, err := ParseTextResponse(h); return &p, err },
	},
	{
		name: "Data-Out",
		header: "05 80 0000 00 000003 0001000000000000 00000077 00000088 00000000 00000009" +
			"00000000 00000002 00002000 00000000",
		data: "xyz",
		pdu: &DataOut{Final: true, LUN: 1 << 48, ITT: 0x77, TTT: 0x88, ExpStatSN: 9, DataSN: 2,
			BufferOffset: 8192},
		parse: func(h *BHS) (any, error) { p, err := ParseDataOut(h); return &p, err },
	},
	{
		name: "Data-In",
		header: "25 c3 0008 00 000002 0001000000000000 00000077 ffffffff 0000000a 0000000b" +
			"0000002b 00000001 00001000 00000010",
		data: "in",
		pdu: &DataIn{Final: true, Acknowledge: true, Underflow: true, HasStatus: true, Status: 8,
			LUN: 1 << 48, ITT: 0x77, TTT: ReservedTag, StatSN: 10, ExpCmdSN: 11, MaxCmdSN: 0x2b,
			DataSN: 1, BufferOffset: 4096, Residual: 16},
		parse: func(h *BHS) (any, error) { p, err := ParseDataIn(h); return &p, err },
	},
	{
		name: "R2T",
		header: "31 80 0000 00 000000 0001000000000000 00000077 00000088 0000000a 0000000b" +
			"0000002b 00000001 00010000 00040000",
		pdu: &R2T{LUN: 1 << 48, ITT: 0x77, TTT: 0x88, StatSN: 10, ExpCmdSN: 11, MaxCmdSN: 0x2b,
			R2TSN: 1, BufferOffset: 65536, DesiredDataTransferLength: 262144},
		parse: func(h *BHS) (any, error) { p, err := ParseR2T(h); return &p, err },
	},
	{
		name: "Logout Request",
		header: "46 81 0000 00 000000 0000000000000000 00000001 00020000 00000003 00000004" +
			"00000000 00000000 00000000 00000000",
		pdu: &LogoutRequest{Immediate: true, Reason: CloseConnection, ITT: 1, CID: 2, CmdSN: 3,
			ExpStatSN: 4},
		parse: func(h *BHS) (any, error) { p, err := ParseLogoutRequest(h); return &p, err },
	},
	{
		name: "Logout Response",
		header: "26 80 0200 00 000000 0000000000000000 00000001 00000000 00000003 00000004" +
			"00000024 00000000 0002 0014 00000000",
		pdu: &LogoutResponse{Response: LogoutRecoveryNotSupported, ITT: 1, StatSN: 3, ExpCmdSN: 4,
			MaxCmdSN: 0x24, Time2Wait: 2, Time2Retain: 20},
		parse: func(h *BHS) (any, error) { p, err := ParseLogoutResponse(h); return &p, err },
	},
	{
		name: "Reject",
		header: "3f 80 0400 00 000000 0000000000000000 ffffffff 00000000 00000003 00000004" +
			"00000024 00000005 00000000 00000000",
		pdu: &Reject{Reason: RejectProtocolError, StatSN: 3, ExpCmdSN: 4, MaxCmdSN: 0x24,
			DataSN: 5},
		parse: func(h *BHS) (any, error) { p, err := ParseReject(h); return &p, err },
	},
	{
		name: "Asynchronous Message",
		header: "32 80 0000 00 000000 0001000000000000 ffffffff 00000000 00000003 00000004" +
			"00000024 01 09 0001 0002 0003 00000000",
		pdu: &Async{LUN: 1 << 48, StatSN: 3, ExpCmdSN: 4, MaxCmdSN: 0x24, Event: AsyncLogoutRequest,
			VendorCode: 9, Parameter1: 1, Parameter2: 2, Parameter3: 3},
		parse: func(h *BHS) (any, error) { p, err := ParseAsync(h); return &p, err },
	},
	{
		name: "SNACK Request",
		header: "10 81 0000 00 000000 0001000000000000 00000007 ffffffff 00000000 00000003" +
			"00000000 00000000 00000004 00000005",
		pdu: &SNACK{Type: SNACKStatus, LUN: 1 << 48, ITT: 7, TTT: ReservedTag, ExpStatSN: 3,
			BegRun: 4, RunLength: 5},
		parse: func(h *BHS) (any, error) { p, err := ParseSNACK(h); return &p, err },
	},
}

// wire returns the whole PDU as it goes over a connection without digests.
func (c pduCase) wire(t testing.TB) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(c.header, " ", ""))
	require.NoError(t, err)
	require.Len(t, b, HeaderLen)
	b = append(b, c.data...)
	return append(b, make([]byte, padLen(len(c.data)))...)
}

func TestPDU_bytesToStruct(t *testing.T) {
	for _, c := range pduCases {
		t.Run(c.name, func(t *testing.T) {
			wire := c.wire(t)
			got, err := c.parse((*BHS)(wire))
			require.NoError(t, err)
			require.Equal(t, c.pdu, got)
		})
	}
}

func TestPDU_structToBytes(t *testing.T) {
	for _, c := range pduCases {
		t.Run(c.name, func(t *testing.T) {
			var h BHS
			c.pdu.Encode(&h)
			var b Batch
			b.Append(&h, []byte(c.data))
			var out bytes.Buffer
			_, err := b.WriteTo(&out)
			require.NoError(t, err)
			require.Equal(t, c.wire(t), out.Bytes())
		})
	}
}

func TestPDU_truncated(t *testing.T) {
	for _, c := range pduCases {
		wire := c.wire(t)
		for n := range wire {
			err := readOne(NewReader(bytes.NewReader(wire[:n]), 0))
			want := io.ErrUnexpectedEOF
			if n == 0 {
				want = io.EOF
			}
			require.ErrorIs(t, err, want, "%s: %d of %d bytes", c.name, n, len(wire))
		}
		require.NoError(t, readOne(NewReader(bytes.NewReader(wire), 0)), c.name)
	}
}

func TestPDU_wrongOpcode(t *testing.T) {
	h := BHS{0: 0x3e}
	for _, c := range pduCases {
		_, err := c.parse(&h)
		var broken *ProtocolError
		require.ErrorAs(t, err, &broken, c.name)
	}
}

// TestPDU_refused holds one header for each rule that a Parse function checks.
func TestPDU_refused(t *testing.T) {
	for name, c := range map[string]struct {
		header map[int]byte
		parse  func(*BHS) error
	}{
		"NOP-Out without tag, not immediate": {
			map[int]byte{16: 0xff, 17: 0xff, 18: 0xff, 19: 0xff},
			func(h *BHS) error { _, err := ParseNOPOut(h); return err }},
		"R2T for nothing": {map[int]byte{0: 0x31},
			func(h *BHS) error { _, err := ParseR2T(h); return err }},
		"R2T without tag": {map[int]byte{0: 0x31, 20: 0xff, 21: 0xff, 22: 0xff, 23: 0xff, 47: 1},
			func(h *BHS) error { _, err := ParseR2T(h); return err }},
		"login with T and C": {map[int]byte{0: 0x43, 1: 0xc1},
			func(h *BHS) error { _, err := ParseLoginRequest(h); return err }},
		"login backwards": {map[int]byte{0: 0x43, 1: 0x84},
			func(h *BHS) error { _, err := ParseLoginRequest(h); return err }},
		"login to stage two": {map[int]byte{0: 0x43, 1: 0x82},
			func(h *BHS) error { _, err := ParseLoginRequest(h); return err }},
		"login in stage three": {map[int]byte{0: 0x43, 1: 0x0c},
			func(h *BHS) error { _, err := ParseLoginRequest(h); return err }},
		"login response to stage zero": {map[int]byte{0: 0x23, 1: 0x80},
			func(h *BHS) error { _, err := ParseLoginResponse(h); return err }},
		"text with F and C": {map[int]byte{0: 0x04, 1: 0xc0},
			func(h *BHS) error { _, err := ParseTextRequest(h); return err }},
		"text response with F and C": {map[int]byte{0: 0x24, 1: 0xc0},
			func(h *BHS) error { _, err := ParseTextResponse(h); return err }},
	} {
		var h BHS
		for i, b := range c.header {
			h[i] = b
		}
		var broken *ProtocolError
		require.ErrorAs(t, c.parse(&h), &broken, name)
	}
}

func TestSense(t *testing.T) {
	wire := AppendSense(nil, []byte("sense"))
	require.Equal(t, "\x00\x05sense", string(wire))
	got, err := ParseSense(append(wire, 0))
	require.NoError(t, err)
	require.Equal(t, "sense", string(got))
	for n := 1; n < len(wire); n++ {
		_, err := ParseSense(wire[:n])
		require.Error(t, err, n)
	}
	got, err = ParseSense(nil)
	require.NoError(t, err)
	require.Nil(t, got)
}

func TestExtendedCDB(t *testing.T) {
	wire := AppendExtendedCDB(nil, []byte("sixteen more byt"))
	require.Len(t, wire, 20)
	// A segment of another type in front is passed over.
	got, err := ExtendedCDB(append([]byte{0, 5, 2, 0, 1, 2, 3, 4}, wire...))
	require.NoError(t, err)
	require.Equal(t, "sixteen more byt", string(got))
	for n := 1; n < len(wire); n++ {
		_, err := ExtendedCDB(wire[:n])
		require.Error(t, err, n)
	}
}

// readOne takes one whole PDU.
func readOne(r *Reader) error {
	var h BHS
	if _, err := r.Next(&h); err != nil {
		return err
	}
	return r.ReadData(make([]byte, h.DataLen()))
}

func FuzzPDU(f *testing.F) {
	for _, c := range pduCases {
		f.Add(c.wire(f), false)
		f.Add(c.wire(f), true)
	}
	f.Fuzz(func(t *testing.T, wire []byte, digests bool) {
		r := NewReader(bytes.NewReader(wire), 0)
		r.SetDigests(Digests{digests, digests})
		var h BHS
		for {
			ahs, err := r.Next(&h)
			if err != nil {
				return
			}
			_, _ = ExtendedCDB(ahs)
			data := make([]byte, h.DataLen())
			if r.ReadData(data) != nil {
				return
			}
			_, _ = ParseSense(data)
			for _, c := range pduCases {
				checkStable(t, c, h)
			}
		}
	})
}

// checkStable demands that what was decoded decodes to the same again after encoding.
func checkStable(t *testing.T, c pduCase, h BHS) {
	first, err := c.parse(&h)
	if err != nil {
		return
	}
	var again BHS
	first.(interface{ Encode(*BHS) }).Encode(&again)
	second, err := c.parse(&again)
	if err != nil || !reflect.DeepEqual(first, second) {
		t.Fatalf("%s: %+v became %+v, %v", c.name, first, second, err)
	}
}
