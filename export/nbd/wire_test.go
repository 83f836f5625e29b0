package nbd

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

// codec holds one form on the wire: literal bytes, their meaning, and both ways between them.
type codec struct {
	name   string
	wire   string
	want   any
	parse  func([]byte) (any, error)
	append func() []byte
}

func codecs() []codec {
	req := request{Flags: cmdFlagFUA, Type: cmdWrite, Cookie: 0x0102030405060708, Offset: 0x10000, Length: 4096}
	simple := simpleReply{Errno: errnoNoSpace, Cookie: 7}
	data := chunk{Flags: chunkFlagDone, Type: chunkOffsetData, Cookie: 9, Length: 520}
	opt := optionHeader{Option: optGo, Length: 3}
	rep := optReplyHeader{Option: optList, Reply: repErrUnsup, Length: 2}
	info := infoRequest{Name: "root", Infos: []uint16{infoBlockSize, infoName}}
	return []codec{
		{"request", "25609513 0001 0001 0102030405060708 0000000000010000 00001000", req,
			func(b []byte) (any, error) { return parseRequest(b) }, func() []byte { return req.append(nil) }},
		{"simple reply", "67446698 0000001c 0000000000000007", simple,
			func(b []byte) (any, error) { return parseSimpleReply(b) }, func() []byte { return simple.append(nil) }},
		{"chunk", "668e33ef 0001 0001 0000000000000009 00000208", data,
			func(b []byte) (any, error) { return parseChunk(b) }, func() []byte { return data.append(nil) }},
		{"option", "49484156454f5054 00000007 00000003", opt,
			func(b []byte) (any, error) { return parseOptionHeader(b) },
			func() []byte { return appendOption(nil, optGo, make([]byte, 3))[:optionHeaderBytes] }},
		{"option reply", "0003e889045565a9 00000003 80000001 00000002", rep,
			func(b []byte) (any, error) { return parseOptReplyHeader(b) },
			func() []byte { return appendOptReply(nil, optList, repErrUnsup, make([]byte, 2))[:optReplyBytes] }},
		{"info request", "00000004 726f6f74 0002 0003 0001", info,
			func(b []byte) (any, error) { return parseInfoRequest(b) }, func() []byte { return info.append(nil) }},
	}
}

func TestCodecs(t *testing.T) {
	for _, c := range codecs() {
		t.Run(c.name, func(t *testing.T) {
			wire := unhex(t, c.wire)
			got, err := c.parse(wire)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.Equal(t, wire, c.append())
			for n := range wire {
				_, err := c.parse(wire[:n])
				require.ErrorIs(t, err, errTruncated, "prefix of %d bytes", n)
			}
		})
	}
}

func TestCodecs_refuseAnotherMagic(t *testing.T) {
	for _, c := range codecs()[:5] { // the info request has none
		wire := unhex(t, c.wire)
		wire[0] ^= 1
		_, err := c.parse(wire)
		require.ErrorIs(t, err, errMagic, c.name)
	}
}

func TestOptionsAreBounded(t *testing.T) {
	long := unhex(t, "49484156454f5054 00000007 7fffffff")
	_, err := parseOptionHeader(long)
	require.ErrorContains(t, err, "bytes of data")
	_, err = parseOptReplyHeader(unhex(t, "0003e889045565a9 00000003 80000001 7fffffff"))
	require.ErrorContains(t, err, "bytes of data")
	_, err = parseInfoRequest(unhex(t, "ffffffff 726f6f74 0000"))
	require.ErrorIs(t, err, errTruncated)
	_, err = parseInfoRequest(unhex(t, "00000000 ffff 0001"))
	require.ErrorIs(t, err, errTruncated)
}

func TestExportInfo(t *testing.T) {
	want := exportInfo{Name: "root", SizeBytes: 1 << 30, Flags: 0x16d,
		MinBytes: 512, PreferredBytes: 4096, MaxBytes: 1 << 25}
	var got exportInfo
	for wire, appended := range map[string][]byte{
		"0000 0000000040000000 016d":      want.appendExport(nil),
		"0001 726f6f74":                   want.appendName(nil),
		"0003 00000200 00001000 02000000": want.appendBlockSize(nil),
	} {
		require.Equal(t, unhex(t, wire), appended)
		require.NoError(t, got.parseInfo(appended))
	}
	require.Equal(t, want, got)
	for _, wire := range [][]byte{want.appendExport(nil), want.appendBlockSize(nil)} {
		for n := range wire {
			require.ErrorIs(t, new(exportInfo).parseInfo(wire[:n]), errTruncated)
		}
	}
	require.NoError(t, new(exportInfo).parseInfo([]byte{0x12, 0x34, 1, 2, 3}), "unknown kinds are skipped")
}

func TestErrorChunk(t *testing.T) {
	require.Equal(t, unhex(t, "668e33ef 0001 8001 0000000000000005 00000006 0000001c 0000"),
		appendErrorChunk(nil, 5, errnoNoSpace))
}

func FuzzRequest(f *testing.F) {
	f.Add(request{Type: cmdRead, Cookie: 1, Length: 4096}.append(nil))
	f.Add(request{Type: cmdWrite, Flags: cmdFlagFUA, Offset: 1 << 40, Length: 512}.append(nil))
	f.Add([]byte{0x25, 0x60, 0x95, 0x13})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err != nil {
			return
		}
		require.Equal(t, b[:requestBytes], r.append(nil), "what is read is written the same")
	})
}
