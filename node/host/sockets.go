package host

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"

	"github.com/holdfast-storage/holdfast/node/engine"
	"github.com/holdfast-storage/holdfast/volume"
)

// sockets are the listening sockets of the exports on this host. Each engine is handed those of its
// volume, and the host keeps them open: a guest whose engine died connects at once, and waits in the
// socket's queue until the next engine answers. Without that it would find nobody, and pause for a second or
// more before it tries again.
//
// Invariant: a socket serves one volume and no other, whatever name they have.
// Invariant: it is closed, with whoever waits in its queue, once the volume is not this host's any more.
type sockets struct {
	log *slog.Logger

	mu   sync.Mutex // protects held
	held map[socketKey]*exportSocket
}

// socketKey names a socket.
type socketKey struct {
	volume volume.ID
	kind   volume.ExportKind
}

type exportSocket struct {
	listener listener
	setting  volume.ExportSetting
	path     string      // of a unix socket, else empty
	file     os.FileInfo // of path, as it was made
}

// listener is a net.Listener that can be handed to another process.
type listener interface {
	net.Listener
	File() (*os.File, error)
}

// inherited is a descriptor of a socket for one engine. Close it once that has it.
type inherited struct {
	kind volume.ExportKind
	file *os.File
}

// listen returns descriptors of the sockets that a volume's engine in dir needs, made if need be, that of NBD first.
// Of the others one that cannot be made is left out: the engine tries, too, and says what is wrong. Sockets of the
// volume that it does not need are closed.
func (s *sockets) listen(id volume.ID, dir string, others []volume.ExportSetting) ([]inherited, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	nbd := volume.ExportSetting{Kind: volume.ExportNBD}
	wanted := map[volume.ExportKind]bool{nbd.Kind: true}
	for _, o := range others {
		wanted[o.Kind] = true
	}
	for key := range s.held {
		if key.volume == id && !wanted[key.kind] {
			s.drop(key)
		}
	}
	file, err := s.listenOne(id, dir, nbd)
	if err != nil {
		return nil, err
	}
	all := []inherited{{nbd.Kind, file}}
	for _, o := range others {
		if file, err = s.listenOne(id, dir, o); err != nil {
			s.log.Warn("export cannot be listened for", "volume", id, "kind", string(o.Kind), "address", o.Address,
				"error", err)
			continue
		}
		all = append(all, inherited{o.Kind, file})
	}
	return all, nil
}

// listenOne returns a descriptor of one socket. The caller holds mu.
func (s *sockets) listenOne(id volume.ID, dir string, setting volume.ExportSetting) (*os.File, error) {
	key, path := socketKey{id, setting.Kind}, engine.ExportSocket(dir, setting.Kind)
	if x := s.held[key]; x != nil && x.stands() && x.path == path && x.setting.Address == setting.Address {
		return x.listener.File()
	}
	s.drop(key)
	made, err := engine.ListenExport(dir, setting)
	if err != nil {
		return nil, err
	}
	l, ok := made.(listener)
	if !ok {
		_ = made.Close() // it is of no use
		return nil, fmt.Errorf("socket of export %s cannot be handed over", setting.Kind)
	}
	x := &exportSocket{listener: l, setting: setting, path: path}
	if path != "" {
		if x.file, err = os.Lstat(path); err != nil {
			_ = l.Close() // err says what is wrong
			return nil, fmt.Errorf("socket of the export: %w", err)
		}
	}
	s.held[key] = x
	return l.File()
}

// keep closes the sockets of all volumes for which wanted is false.
func (s *sockets) keep(wanted func(volume.ID) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.held {
		if !wanted(key.volume) {
			s.drop(key)
		}
	}
}

// release closes the host's own descriptors and leaves the files: the engines go on.
func (s *sockets) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, x := range s.held {
		_ = x.listener.Close() // nothing was written to it
		delete(s.held, key)
	}
}

// drop closes a socket and removes its file, if it is still that. The caller holds mu.
func (s *sockets) drop(key socketKey) {
	x := s.held[key]
	if x == nil {
		return
	}
	_ = x.listener.Close() // nothing was written to it
	if x.path != "" && x.stands() {
		_ = os.Remove(x.path) // a file that is left behind is one that nobody answers on
	}
	delete(s.held, key)
}

// stands reports whether who connects reaches this socket: a port is held, a path may have been removed.
func (x *exportSocket) stands() bool {
	if x.path == "" {
		return true
	}
	now, err := os.Lstat(x.path)
	return err == nil && os.SameFile(now, x.file)
}
