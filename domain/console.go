package domain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/holdfast-storage/holdfast/domain/qmp"
)

// ErrConsoleTaken refuses a second user of a guest's console.
var ErrConsoleTaken = errors.New("somebody else is at the console")

// A Consoler is a guest with a console.
type Consoler interface {
	// Console connects with the guest's first serial line: what is written there the guest reads, and the other way
	// round. It is for one user at a time; ErrConsoleTaken means that there is one. What is not read holds the guest
	// up.
	Console(ctx context.Context) (net.Conn, error)
}

// consoleID is what QEMU calls the first serial line.
const consoleID = "console"

// Console asks first whether somebody is there: QEMU would take the connection, and serve it once the other has left.
func (p *qemuProcess) Console(ctx context.Context) (net.Conn, error) {
	dir := p.Order().Dir
	ask, cancel := context.WithTimeout(ctx, qemuAnswer)
	defer cancel()
	var lines []struct {
		Label    string `json:"label"`
		Filename string `json:"filename"` // with a word before it while nobody is connected
	}
	if err := qmp.Call(ask, qmpSocket(dir), "query-chardev", nil, &lines); err != nil {
		return nil, fmt.Errorf("domain %s: %w", p.Order().Name, err)
	}
	for _, l := range lines {
		if l.Label == consoleID && !strings.HasPrefix(l.Filename, "disconnected:") {
			return nil, fmt.Errorf("domain %s: %w, by way of %s", p.Order().Name, ErrConsoleTaken, ConsoleSocket(dir))
		}
	}
	return dialConsole(ask, p.Order())
}

// dialConsole connects with the socket of a console.
func dialConsole(ctx context.Context, o Order) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", ConsoleSocket(o.Dir))
	if err != nil {
		return nil, fmt.Errorf("domain %s: console: %w", o.Name, err)
	}
	return conn, nil
}
