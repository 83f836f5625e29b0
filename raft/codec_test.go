package raft

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func sampleSnapshot(t testing.TB) []byte {
	s := newScript(t)
	s.apply(`init_cluster demo
		register n1 storage stores=s1
		register n2 storage stores=s2
		register h1 host
		create web A@n1/s1 B@n2/s2 layout:mirror:2
		provisioned web A
		provisioned web B
		begin web h1 a1
		fence web A e=1 lossy
		define d volumes=web`)
	var out bytes.Buffer
	require.NoError(t, WriteSnapshot(&out, s.state, 77))
	return out.Bytes()
}

func TestSnapshot_RoundTrip(t *testing.T) {
	data := sampleSnapshot(t)
	s, revision, err := ReadSnapshot(bytes.NewReader(data))
	require.NoError(t, err)
	require.EqualValues(t, 77, revision)
	var again bytes.Buffer
	require.NoError(t, WriteSnapshot(&again, s, revision))
	require.Equal(t, string(data), again.String())
}

func TestSnapshot_EveryTruncatedPrefixAndFlippedByteIsRefused(t *testing.T) {
	data := sampleSnapshot(t)
	for n := range data {
		_, _, err := ReadSnapshot(bytes.NewReader(data[:n]))
		require.ErrorIs(t, err, ErrCorrupt, "%d bytes", n)
	}
	for i := range data {
		flipped := bytes.Clone(data)
		flipped[i] ^= 0x10
		_, _, err := ReadSnapshot(bytes.NewReader(flipped))
		require.Error(t, err, "byte %d", i)
	}
	_, _, err := ReadSnapshot(io.MultiReader(bytes.NewReader(data), bytes.NewReader([]byte("x"))))
	require.ErrorIs(t, err, ErrCorrupt)
}

func TestSnapshot_UnknownFormsAreRefused(t *testing.T) {
	var out bytes.Buffer
	s := NewState()
	require.NoError(t, writeSnapshotBody(&out, 2, mustJSON(t, s), 1))
	_, _, err := ReadSnapshot(&out)
	require.ErrorIs(t, err, ErrCorrupt, "its first line is no part of what the checksum covers")

	s.Version = VersionLatest + 1
	out.Reset()
	require.NoError(t, WriteSnapshot(&out, s, 1))
	_, _, err = ReadSnapshot(&out)
	require.ErrorIs(t, err, ErrNewer)
	require.ErrorContains(t, err, "snapshot of cluster version 3")

	_, _, err = ReadSnapshot(bytes.NewReader([]byte("holdfast-raft 9 1 2 00000000\n{}")))
	require.ErrorContains(t, err, "snapshot of cluster version 9")
	require.NotErrorIs(t, err, ErrCorrupt)

	body := []byte(`{"version":1,"shiny":true}`)
	out.Reset()
	require.NoError(t, writeSnapshotBody(&out, 1, body, 1))
	_, _, err = ReadSnapshot(&out)
	require.ErrorContains(t, err, "newer release")
}

func TestCommand_DamagedOrUnknownIsRefused(t *testing.T) {
	data, err := encodeCommand(Command{At: at(), StopDomain: &StopDomain{Name: "web"}})
	require.NoError(t, err)
	c, err := decodeCommand(data)
	require.NoError(t, err)
	require.Equal(t, "web", c.StopDomain.Name)
	for n := range data {
		_, err := decodeCommand(data[:n])
		require.ErrorIs(t, err, ErrCorrupt)
	}
	_, err = decodeCommand(checksummed([]byte(`{"at":"2026-11-01T12:00:00Z","grow_volume":{}}`)))
	require.ErrorContains(t, err, "newer release")
	_, err = decodeCommand(checksummed([]byte(`{"at":"2026-11-01T12:00:00Z"}`)))
	require.ErrorIs(t, err, errOneKind)
	_, err = decodeCommand(checksummed([]byte(`{"stop_domain":{"name":"a"}} {}`)))
	require.Error(t, err)
}

func FuzzReadSnapshot(f *testing.F) {
	f.Add(sampleSnapshot(f))
	f.Add([]byte("holdfast-raft 1 1 2 00000000\n{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, revision, err := ReadSnapshot(bytes.NewReader(data))
		if err != nil {
			return
		}
		var out bytes.Buffer
		require.NoError(t, WriteSnapshot(&out, s, revision))
		_, again, err := ReadSnapshot(&out)
		require.NoError(t, err)
		require.Equal(t, revision, again)
	})
}

func FuzzDecodeCommand(f *testing.F) {
	f.Add([]byte(`{"at":"2026-11-01T12:00:00Z","begin_attach":{"volume":"","host":"","attach_id":""}}`))
	f.Add([]byte(`{"at":"2026-11-01T12:00:00Z","create_volume":{"layout":"mirror=2","legs":[{}]}}`))
	f.Add([]byte(`{"record_fence":{"report":{"label":{"Layout":"mirror=2"}}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := decodeCommand(checksummed(body))
		if err != nil {
			require.NotErrorIs(t, err, ErrCorrupt, "its checksum fits")
			return
		}
		s := newScript(t)
		s.apply("init_cluster demo\nregister n1 storage host stores=s1")
		first, second := s.state.Fork(), s.state.Fork()
		require.Equal(t, first.Apply(c), second.Apply(c))
		require.Equal(t, string(mustJSON(t, first)), string(mustJSON(t, second)))
	})
}
