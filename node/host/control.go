package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/node/engine"
	"github.com/holdfast-storage/holdfast/node/peer"
)

// greeting is what an engine is known by: what it says of itself, and what the kernel says of the
// process that serves its control socket.
type greeting struct {
	hello engine.Hello
	pid   int
}

// ask sends one request to the engine in dir on a connection of its own and returns who answered.
// A response with an error is an error.
func ask(ctx context.Context, dir string, r engine.Request) (greeting, engine.Response, error) {
	var g greeting
	var response engine.Response
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", engine.ControlSocket(dir))
	if err != nil {
		return g, response, fmt.Errorf("engine: %w", err)
	}
	defer conn.Close()
	// An engine that is stopped takes the connection but never answers: the deadline ends that.
	if deadline, ok := ctx.Deadline(); ok {
		err = conn.SetDeadline(deadline)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if err == nil {
		g.pid, err = servedBy(conn)
	}
	decoder := json.NewDecoder(conn)
	if err == nil {
		err = decoder.Decode(&g.hello)
	}
	if err == nil && g.hello.Version != engine.ControlVersion {
		err = fmt.Errorf("it speaks version %d of the control protocol, not %d",
			g.hello.Version, engine.ControlVersion)
	}
	if err == nil {
		err = json.NewEncoder(conn).Encode(r)
	}
	if err == nil {
		err = decoder.Decode(&response)
	}
	if err == nil && response.Error != "" {
		err = errors.New(response.Error)
	}
	if err != nil {
		return g, response, fmt.Errorf("engine in %s: %s: %w", dir, r.Verb, err)
	}
	return g, response, nil
}

// servedBy returns the process that listens at the other end, from the kernel.
func servedBy(conn net.Conn) (int, error) {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a unix socket")
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, err
	}
	return int(cred.Pid), nil
}

// status asks the engine in dir for its state.
func status(ctx context.Context, dir string) (greeting, peer.EngineStatus, error) {
	g, response, err := ask(ctx, dir, engine.Request{Verb: engine.VerbStatus})
	if err != nil {
		return g, peer.EngineStatus{}, err
	}
	s := response.Status
	if s == nil || s.Volume != g.hello.Volume || s.AttachID != g.hello.AttachID {
		return g, peer.EngineStatus{},
			fmt.Errorf("engine in %s: its status is not of the volume that it greeted with", dir)
	}
	return g, *s, nil
}

// hold takes hold of the process that greeted.
func (g greeting) hold() (*proc.Handle, error) {
	id, err := proc.Identify(g.pid)
	if err != nil {
		return nil, err
	}
	return proc.Open(id)
}
