package nbd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// playTLS is play against a server that wants TLS, whose handshake succeeds without a word. begun is how many answers'
// bytes came before it.
func playTLS(options ...[]byte) (answers []byte, begun int, agreed agreement, err error) {
	said := binary.BigEndian.AppendUint32(nil, bothFlags)
	s := &script{Reader: bytes.NewReader(append(said, bytes.Join(options, nil)...))}
	begun = -1
	agreed, err = handshake(s, testExport(), func() (io.ReadWriter, error) {
		begun = s.Buffer.Len() - 18
		return s, nil
	})
	return s.Buffer.Bytes()[18:], begun, agreed, err
}

func repliesIn(t *testing.T, answers []byte) []optReply {
	t.Helper()
	var out []optReply
	for len(answers) > 0 {
		h, err := parseOptReplyHeader(answers)
		require.NoError(t, err)
		out = append(out, h.Reply)
		answers = answers[optReplyBytes+int(h.Length):]
	}
	return out
}

func TestStartTLS_nothingElseBefore(t *testing.T) {
	start := appendOption(nil, optStartTLS, nil)
	for _, o := range []option{optList, optInfo, optGo, optStructuredReply, 99} {
		data := infoRequest{Name: "root"}.append(nil)
		answers, begun, _, err := playTLS(appendOption(nil, o, data), start, goOption("root"))
		require.NoError(t, err)
		want := []optReply{repErrTLSReqd, repAck, repInfo, repInfo, repAck}
		require.Equal(t, want, repliesIn(t, answers), "option %d", o)
		require.Equal(t, []optReply{repErrTLSReqd, repAck}, repliesIn(t, answers[:begun]))
	}
	answers, begun, _, err := playTLS(appendOption(nil, optAbort, nil))
	require.ErrorIs(t, err, errGoodbye)
	require.Equal(t, []optReply{repAck}, repliesIn(t, answers))
	require.Equal(t, -1, begun)

	answers, begun, _, err = playTLS(appendOption(nil, optExportName, []byte("root")))
	require.ErrorContains(t, err, "before it began TLS")
	require.Empty(t, answers)
	require.Equal(t, -1, begun)

	answers, begun, _, err = playTLS(appendOption(nil, optStartTLS, []byte{1}))
	require.ErrorIs(t, err, errGoodbye)
	require.Equal(t, []optReply{repErrInvalid}, repliesIn(t, answers))
	require.Equal(t, -1, begun)
}

func TestStartTLS_onceAndForgetsWhatWasBefore(t *testing.T) {
	start := appendOption(nil, optStartTLS, nil)
	structured := appendOption(nil, optStructuredReply, nil)
	answers, _, agreed, err := playTLS(structured, start, start, goOption("root"))
	require.NoError(t, err)
	require.Equal(t, []optReply{repErrTLSReqd, repAck, repErrInvalid, repInfo, repInfo, repAck}, repliesIn(t, answers))
	require.Equal(t, agreement{}, agreed)

	_, _, agreed, err = playTLS(start, structured, goOption("root"))
	require.NoError(t, err)
	require.Equal(t, agreement{structured: true}, agreed)
}

func TestStartTLS_failed(t *testing.T) {
	broken := errors.New("no TLS")
	s := &script{Reader: bytes.NewReader(append(binary.BigEndian.AppendUint32(nil, bothFlags),
		append(appendOption(nil, optStartTLS, nil), goOption("root")...)...))}
	_, err := handshake(s, testExport(), func() (io.ReadWriter, error) { return nil, broken })
	require.ErrorIs(t, err, broken)
	require.Equal(t, []optReply{repAck}, repliesIn(t, s.Buffer.Bytes()[18:]), "nothing is answered behind it")
}

func TestStartTLS_notWhereNobodyOffersIt(t *testing.T) {
	answers, _, err := play(bothFlags, appendOption(nil, optStartTLS, nil))
	require.ErrorIs(t, err, errGoodbye)
	require.Equal(t, []optReply{repErrUnsup}, repliesIn(t, answers))
}

// Whatever a client says, the export is not opened, nor anything told of it, before TLS has begun.
func FuzzStartTLS(f *testing.F) {
	start := binary.BigEndian.AppendUint32(nil, bothFlags)
	begin := appendOption(nil, optStartTLS, nil)
	f.Add(bytes.Join([][]byte{start, begin, goOption("root")}, nil), true)
	f.Add(bytes.Join([][]byte{start, goOption("root"), begin, begin}, nil), true)
	f.Add(bytes.Join([][]byte{start, appendOption(nil, optExportName, []byte("root"))}, nil), true)
	f.Add(bytes.Join([][]byte{start, begin, goOption("root")}, nil), false)
	f.Fuzz(func(t *testing.T, said []byte, succeeds bool) {
		s := &script{Reader: bytes.NewReader(said)}
		begun := -1
		_, err := handshake(s, testExport(), func() (io.ReadWriter, error) {
			begun = s.Buffer.Len()
			if !succeeds {
				return nil, io.ErrUnexpectedEOF
			}
			return s, nil
		})
		clear := s.Buffer.Bytes()[18:]
		if begun >= 0 {
			clear = clear[:begun-18]
		}
		if bytes.Contains(clear, []byte("root")) {
			t.Fatalf("told in the clear: %q", clear)
		}
		for _, reply := range repliesIn(t, clear) {
			if reply == repInfo || reply == repServer {
				t.Fatalf("told in the clear: %q", clear)
			}
		}
		if err == nil && (begun < 0 || !succeeds) {
			t.Fatal("the export was opened without TLS")
		}
	})
}
