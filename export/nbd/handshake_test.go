package nbd

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func testExport() exportInfo {
	return exportInfo{Name: "root", Alias: "root@7", SizeBytes: 1 << 20, Flags: flagHasFlags | flagSendFlush,
		MinBytes: 512, PreferredBytes: 4096, MaxBytes: MaxPayloadBytes}
}

// script is a client that says everything at once, and what the server answered.
type script struct {
	io.Reader
	bytes.Buffer
}

func (s *script) Read(p []byte) (int, error) { return s.Reader.Read(p) }

// play runs the server's handshake against a scripted client and returns its answers behind the
// greeting.
func play(clientFlags uint32, options ...[]byte) (answers []byte, agreed agreement, err error) {
	said := binary.BigEndian.AppendUint32(nil, clientFlags)
	s := &script{Reader: bytes.NewReader(append(said, bytes.Join(options, nil)...))}
	agreed, err = handshake(s, testExport(), nil)
	return s.Buffer.Bytes()[18:], agreed, err
}

const bothFlags = uint32(flagFixedNewstyle | flagNoZeroes)

func goOption(name string, infos ...uint16) []byte {
	return appendOption(nil, optGo, infoRequest{name, infos}.append(nil))
}

func TestHandshake_options(t *testing.T) {
	e := testExport()
	ack := func(o option) []byte { return appendOptReply(nil, o, repAck, nil) }
	info := func(o option, data []byte) []byte { return appendOptReply(nil, o, repInfo, data) }
	infos := func(o option) []byte {
		return bytes.Join([][]byte{info(o, e.appendExport(nil)), info(o, e.appendBlockSize(nil)), ack(o)}, nil)
	}
	opened := infos(optGo)
	listed := append(appendOptReply(nil, optList, repServer, append([]byte{0, 0, 0, 4}, "root"...)), ack(optList)...)
	for _, c := range []struct {
		name    string
		flags   uint32
		options [][]byte
		answers []byte
		agreed  agreement
		err     error
	}{
		{"go", bothFlags, [][]byte{goOption("root")}, opened, agreement{}, nil},
		{"go to the default export", bothFlags, [][]byte{goOption("")}, opened, agreement{}, nil},
		{"go to the alias", bothFlags, [][]byte{goOption("root@7")}, opened, agreement{}, nil},
		{"another alias", bothFlags, [][]byte{goOption("root@8")},
			appendOptReply(nil, optGo, repErrUnknown, []byte(`the export's name is "root"`)), agreement{}, errGoodbye},
		{"structured replies, then go", bothFlags,
			[][]byte{appendOption(nil, optStructuredReply, nil), goOption("root")},
			append(ack(optStructuredReply), opened...), agreement{structured: true}, nil},
		{"the name, when asked for", bothFlags, [][]byte{goOption("root", infoName)},
			bytes.Join([][]byte{info(optGo, e.appendExport(nil)), info(optGo, e.appendBlockSize(nil)),
				info(optGo, e.appendName(nil)), ack(optGo)}, nil), agreement{}, nil},
		{"list, then abort", bothFlags, [][]byte{appendOption(nil, optList, nil), appendOption(nil, optAbort, nil)},
			append(bytes.Clone(listed), ack(optAbort)...), agreement{}, errGoodbye},
		{"info, then leave", bothFlags, [][]byte{appendOption(nil, optInfo, infoRequest{Name: "root"}.append(nil))},
			infos(optInfo), agreement{}, errGoodbye},
		{"an unknown option", bothFlags, [][]byte{appendOption(nil, 99, []byte("xyz"))},
			appendOptReply(nil, 99, repErrUnsup, nil), agreement{}, errGoodbye},
		{"an unknown export", bothFlags, [][]byte{goOption("other")},
			appendOptReply(nil, optGo, repErrUnknown, []byte(`the export's name is "root"`)), agreement{}, errGoodbye},
		{"export name without zeroes", bothFlags, [][]byte{appendOption(nil, optExportName, []byte("root"))},
			e.appendSizeAndFlags(nil), agreement{}, nil},
		{"export name with zeroes", uint32(flagFixedNewstyle), [][]byte{appendOption(nil, optExportName, nil)},
			append(e.appendSizeAndFlags(nil), make([]byte, 124)...), agreement{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			answers, agreed, err := play(c.flags, c.options...)
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.answers, answers)
			require.Equal(t, c.agreed, agreed)
		})
	}
}

func TestHandshake_refusals(t *testing.T) {
	_, _, err := play(0)
	require.ErrorContains(t, err, "fixed newstyle")
	_, _, err = play(bothFlags | 1<<7)
	require.ErrorContains(t, err, "client flags")
	_, _, err = play(bothFlags, appendOption(nil, optExportName, []byte("other")))
	require.ErrorContains(t, err, `"other"`)
	_, _, err = play(bothFlags, bytes.Repeat(appendOption(nil, optList, nil), optionsMax+1))
	require.ErrorContains(t, err, "more than")
	answers, _, err := play(bothFlags, appendOption(nil, optGo, []byte{0, 0}))
	require.ErrorIs(t, err, errGoodbye)
	h, err := parseOptReplyHeader(answers)
	require.NoError(t, err)
	require.Equal(t, repErrInvalid, h.Reply)
	for _, o := range []option{optList, optStructuredReply} {
		answers, _, _ = play(bothFlags, appendOption(nil, o, []byte{1}))
		h, err = parseOptReplyHeader(answers)
		require.NoError(t, err)
		require.Equal(t, repErrInvalid, h.Reply)
	}
}

// A handshake that is cut off anywhere ends with an error and never opens the export.
func TestHandshake_everyTruncatedPrefix(t *testing.T) {
	whole := binary.BigEndian.AppendUint32(nil, bothFlags)
	whole = append(whole, appendOption(nil, optStructuredReply, nil)...)
	whole = append(whole, goOption("root", infoBlockSize)...)
	for n := range whole {
		_, err := handshake(&script{Reader: bytes.NewReader(whole[:n])}, testExport(), nil)
		require.Error(t, err, "prefix of %d bytes", n)
	}
}

func TestGreet_againstOurOwnServer(t *testing.T) {
	for _, o := range []ClientOptions{{}, {SimpleReplies: true}} {
		client, server := net.Pipe()
		served := make(chan error, 1)
		go func() {
			_, err := handshake(server, testExport(), nil)
			served <- err
		}()
		_, e, agreed, err := greet(client, nil, "root", o)
		require.NoError(t, err)
		require.NoError(t, <-served)
		require.Equal(t, !o.SimpleReplies, agreed.structured)
		e.Name, e.Alias = "root", "root@7" // not asked for, and never sent
		require.Equal(t, testExport(), e)
	}
}

func TestGreet_unknownExport(t *testing.T) {
	client, server := net.Pipe()
	go func() { _, _ = handshake(server, testExport(), nil) }()
	_, _, _, err := greet(client, nil, "other", ClientOptions{})
	require.ErrorContains(t, err, `the export's name is "root"`)
	require.NoError(t, client.Close())
}

func FuzzHandshake(f *testing.F) {
	start := binary.BigEndian.AppendUint32(nil, bothFlags)
	f.Add(append(bytes.Clone(start), goOption("root", infoBlockSize, infoName)...))
	f.Add(append(bytes.Clone(start), appendOption(nil, optList, nil)...))
	f.Add(append(bytes.Clone(start), appendOption(nil, optExportName, []byte("root"))...))
	f.Fuzz(func(t *testing.T, said []byte) {
		s := &script{Reader: bytes.NewReader(said)}
		_, err := handshake(s, testExport(), nil)
		if err == nil && len(said) < 4+optionHeaderBytes {
			t.Fatal("the export was opened by nothing")
		}
		if answered := s.Buffer.Len(); answered > 18+optionsMax*(optionBytesMax+1024) {
			t.Fatalf("%d bytes said, %d answered", len(said), answered)
		}
	})
}

func FuzzGreet(f *testing.F) {
	s := &script{Reader: bytes.NewReader(append(binary.BigEndian.AppendUint32(nil, bothFlags), goOption("root")...))}
	if _, err := handshake(s, testExport(), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(s.Buffer.Bytes()))
	f.Fuzz(func(t *testing.T, answered []byte) {
		s := &script{Reader: bytes.NewReader(answered)}
		if hail(s) == nil {
			_, _, _ = choose(s, "root", ClientOptions{SimpleReplies: true}) // must end, without a panic
		}
	})
}
