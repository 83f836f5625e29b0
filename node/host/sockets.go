package host

import (
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/holdfast-storage/holdfast/node/engine"
	"github.com/holdfast-storage/holdfast/volume"
)

// sockets are the listening sockets of the exports on this host. Each engine is handed the one of its
// volume, and the host keeps it open: a guest whose engine died connects at once, and waits in the
// socket's queue until the next engine answers. Without that it would find nobody, and pause for a second or
// more before it tries again.
//
// Invariant: a socket serves one volume and no other, whatever name they have.
// Invariant: it is closed, with whoever waits in its queue, once the volume is not this host's any more.
type sockets struct {
	mu   sync.Mutex // protects held
	held map[volume.ID]*exportSocket
}

type exportSocket struct {
	listener *net.UnixListener
	path     string
	file     os.FileInfo // of path, as it was made
}

// listen returns a descriptor of the volume's socket in an engine's directory, made if need be. Close it.
func (s *sockets) listen(id volume.ID, dir string) (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.held[id]; x != nil && x.stands() && x.path == engine.NBDSocket(dir) {
		return x.listener.File()
	}
	s.drop(id)
	listener, err := engine.ListenExport(dir)
	if err != nil {
		return nil, err
	}
	x := &exportSocket{listener: listener, path: engine.NBDSocket(dir)}
	if x.file, err = os.Lstat(x.path); err != nil {
		_ = listener.Close() // err says what is wrong
		return nil, fmt.Errorf("socket of the export: %w", err)
	}
	s.held[id] = x
	return listener.File()
}

// keep closes the sockets of all volumes for which wanted is false.
func (s *sockets) keep(wanted func(volume.ID) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.held {
		if !wanted(id) {
			s.drop(id)
		}
	}
}

// release closes the host's own descriptors and leaves the files: the engines go on.
func (s *sockets) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, x := range s.held {
		_ = x.listener.Close() // nothing was written to it
		delete(s.held, id)
	}
}

// drop closes a volume's socket and removes its file, if it is still that. The caller holds mu.
func (s *sockets) drop(id volume.ID) {
	x := s.held[id]
	if x == nil {
		return
	}
	_ = x.listener.Close() // nothing was written to it
	if x.stands() {
		_ = os.Remove(x.path) // a file that is left behind is one that nobody answers on
	}
	delete(s.held, id)
}

// stands reports whether who connects to the path reaches this socket.
func (x *exportSocket) stands() bool {
	now, err := os.Lstat(x.path)
	return err == nil && os.SameFile(now, x.file)
}
