package host

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/engine"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// plug connects to an export and returns which epoch answers, and what is read next.
func plug(t *testing.T, dir string) (string, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("unix", engine.NBDSocket(dir))
	require.NoError(t, err, "a guest that connects is never turned away while the volume is this host's")
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	r := bufio.NewReader(conn)
	epoch, err := r.ReadString('\n')
	require.NoError(t, err)
	return epoch, r
}

func TestSockets_aGuestConnectsWhileThereIsNoEngine(t *testing.T) {
	m := newMachine(t)
	m.boot()
	m.attach("root")
	first, dir := m.serving(1), EngineDir(m.run, "root")
	epoch, connection := plug(t, dir)
	require.Equal(t, "1\n", epoch)
	kill(t, first.PID)
	_, err := connection.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	epoch, _ = plug(t, dir)
	require.Equal(t, "2\n", epoch)

	// The next daemon has no socket of an engine that it did not start, and makes one for the next engine.
	m.serving(2)
	m.stopHost()
	epoch, _ = plug(t, dir)
	require.Equal(t, "2\n", epoch)
	m.boot()
	kill(t, m.serving(2).PID)
	m.serving(3)
	epoch, connection = plug(t, dir)
	require.Equal(t, "3\n", epoch)

	m.control.set(func(a *peer.Assignment) { a.Attach = nil })
	_, err = connection.ReadByte()
	require.Error(t, err)
	require.Eventually(t, func() bool {
		conn, err := net.Dial("unix", engine.NBDSocket(dir))
		if err == nil {
			_ = conn.Close() // the host has not closed its own end yet
		}
		return err != nil
	}, patience, 5*time.Millisecond, "nobody waits for a volume that is another's")
}

func TestSockets_oneForEachVolumeWhateverItsName(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "hf-t") // short enough for a socket
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &sockets{log: slog.New(slog.DiscardHandler), held: make(map[socketKey]*exportSocket)}
	listen := func(id volume.ID) *net.UnixListener {
		made, err := s.listen(id, dir, nil)
		require.NoError(t, err)
		require.Len(t, made, 1)
		l, err := net.FileListener(made[0].file)
		require.NoError(t, err)
		require.NoError(t, made[0].file.Close())
		t.Cleanup(func() { _ = l.Close() })
		return l.(*net.UnixListener)
	}
	reaches := func(l *net.UnixListener) bool {
		conn, err := net.Dial("unix", engine.NBDSocket(dir))
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, l.SetDeadline(time.Now().Add(50*time.Millisecond)))
		accepted, err := l.Accept()
		if err == nil {
			_ = accepted.Close()
		}
		return err == nil
	}
	a, b := volume.NewID(), volume.NewID()
	first := listen(a)
	require.True(t, reaches(first))
	require.True(t, reaches(listen(a)), "the same socket again")
	require.NoError(t, os.Remove(engine.NBDSocket(dir)))
	second := listen(a)
	require.True(t, reaches(second), "made anew when its file was removed")
	require.False(t, reaches(first))
	require.NoError(t, os.Remove(engine.NBDSocket(dir))) // the name is another volume's by now
	third := listen(b)
	s.keep(func(id volume.ID) bool { return id == b })
	require.True(t, reaches(third), "the end of the one before leaves the file of this one")
	s.keep(func(volume.ID) bool { return false })
	require.NoFileExists(t, engine.NBDSocket(dir))
}

func TestSockets_aPortIsHeldAsTheSocketIs(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "hf-t")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &sockets{log: slog.New(slog.DiscardHandler), held: make(map[socketKey]*exportSocket)}
	t.Cleanup(func() { s.keep(func(volume.ID) bool { return false }) })
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := taken.Addr().String()
	kinds := func(id volume.ID, address string) (all []volume.ExportKind) {
		made, err := s.listen(id, dir, []volume.ExportSetting{{Kind: volume.ExportISCSI, Address: address}})
		require.NoError(t, err)
		for _, m := range made {
			all = append(all, m.kind)
			require.NoError(t, m.file.Close())
		}
		return all
	}
	connects := func(address string) bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close() // it was accepted
		}
		return err == nil
	}
	both := []volume.ExportKind{volume.ExportNBD, volume.ExportISCSI}
	id := volume.NewID()
	require.Equal(t, both[:1], kinds(id, port), "a port that is taken keeps nothing else from being there")
	require.NoError(t, taken.Close())
	require.Equal(t, both, kinds(id, port))
	require.True(t, connects(port), "also while no engine has it")
	require.Equal(t, both, kinds(id, port), "the next engine gets the same one")
	other := freePort(t)
	require.Equal(t, both, kinds(id, other))
	require.True(t, connects(other))
	require.False(t, connects(port), "nobody waits where the volume is no more")
	made, err := s.listen(id, dir, nil)
	require.NoError(t, err)
	require.NoError(t, made[0].file.Close())
	require.False(t, connects(other))
}

// freePort returns an address that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}
