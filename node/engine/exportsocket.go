package engine

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/holdfast-storage/holdfast/export/nbd"
)

// exportFDMin is the lowest descriptor that can be handed over: below are the standard ones.
const exportFDMin = 3

// ListenExport makes the socket of an export in a run directory, for whoever starts engines and outlives
// them: who connects while there is no engine waits in the socket's queue for the next one. Its file stays
// when the listener is closed.
func ListenExport(runDir string) (*net.UnixListener, error) {
	l, err := nbd.Listen(NBDSocket(runDir))
	if err != nil {
		return nil, err
	}
	socket, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s: no unix socket", NBDSocket(runDir)), l.Close())
	}
	socket.SetUnlinkOnClose(false)
	return socket, nil
}

// exportListener returns the socket that the start document hands over, or one of the engine's own.
func (s Start) exportListener() (net.Listener, error) {
	if s.ExportFD == 0 {
		return nbd.Listen(NBDSocket(s.RunDir))
	}
	file := os.NewFile(uintptr(s.ExportFD), NBDSocket(s.RunDir))
	l, err := net.FileListener(file)
	return l, errors.Join(err, file.Close()) // the listener has a descriptor of its own
}
