package engine

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/holdfast-storage/holdfast/export/nbd"
	"github.com/holdfast-storage/holdfast/volume"
)

// Inherited is a listening socket that an engine gets from who started it. Its owner goes on to hold it, so that
// nobody is turned away between two engines.
type Inherited struct {
	Kind volume.ExportKind `json:"kind"` // which export it is of
	FD   int               `json:"fd"`
}

// inheritedMin is the lowest descriptor that can be handed over: below are the standard ones.
const inheritedMin = 3

// ListenExport makes the socket of an export, for whoever starts engines and outlives them: who connects while there
// is no engine waits in the socket's queue for the next one. A unix socket is a file in the run directory, which stays
// when the listener is closed.
func ListenExport(runDir string, s volume.ExportSetting) (net.Listener, error) {
	if !s.Kind.UnixSocket() {
		return net.Listen("tcp", s.Address)
	}
	path := ExportSocket(runDir, s.Kind)
	l, err := nbd.Listen(path)
	if err != nil {
		return nil, err
	}
	socket, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s: no unix socket", path), l.Close())
	}
	socket.SetUnlinkOnClose(false)
	return socket, nil
}

// exportSockets are the sockets that an engine was handed.
type exportSockets struct {
	runDir string
	files  map[volume.ExportKind]*os.File
}

func (s Start) sockets() exportSockets {
	e := exportSockets{runDir: s.RunDir, files: make(map[volume.ExportKind]*os.File, len(s.Exports))}
	for _, x := range s.Exports {
		e.files[x.Kind] = os.NewFile(uintptr(x.FD), string(x.Kind))
	}
	return e
}

// listen returns the listener of an export: the one that was handed over, again as often as it is asked for, or one
// of the engine's own.
func (e exportSockets) listen(s volume.ExportSetting) (net.Listener, error) {
	file := e.files[s.Kind]
	switch {
	case file != nil:
		return net.FileListener(file) // which has a descriptor of its own
	case s.Kind.UnixSocket():
		return nbd.Listen(ExportSocket(e.runDir, s.Kind))
	}
	return net.Listen("tcp", s.Address)
}

// close closes what was handed over; its owner's socket and the listeners stay.
func (e exportSockets) close() {
	for _, file := range e.files {
		_ = file.Close() // nothing was written to it
	}
}
