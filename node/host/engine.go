package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/node/engine"
	"github.com/holdfast-storage/holdfast/node/pause"
	"github.com/holdfast-storage/holdfast/node/peer"
)

// How long an engine may take, and how often it is asked.
const (
	greetTimeout = 10 * time.Second       // from its start to its greeting
	askTimeout   = 5 * time.Second        // to answer
	askPause     = 500 * time.Millisecond // between two looks at an engine that serves
	askSoon      = 20 * time.Millisecond  // between two looks at one that is about to
	endGrace     = 2 * time.Second        // from SIGTERM to SIGKILL
	killPatience = 5 * time.Second        // from SIGKILL to its end
)

// running is an engine's process, started or adopted.
type running struct {
	name   string // of the volume
	dir    string
	hello  engine.Hello
	handle *proc.Handle
	child  *exec.Cmd     // nil when it was adopted
	gone   chan struct{} // closed when its end was seen and told to the core
}

// spawn starts an engine and returns it with its first status. When it fails, nothing of it is left.
func (h *Host) spawn(ctx context.Context, t peer.Ticket) (*running, peer.EngineStatus, error) {
	dir := EngineDir(h.options.RunDir, t.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, peer.EngineStatus{}, fmt.Errorf("engine of %s: %w", t.Name, err)
	}
	if err := endStrays(ctx, dir); err != nil {
		return nil, peer.EngineStatus{}, fmt.Errorf("engine of %s: %w", t.Name, err)
	}
	if err := os.Remove(engine.ControlSocket(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, peer.EngineStatus{}, fmt.Errorf("engine of %s: %w", t.Name, err)
	}
	cmd, err := h.launch(t, dir)
	if err != nil {
		return nil, peer.EngineStatus{}, fmt.Errorf("start engine of %s: %w", t.Name, err)
	}
	e, s, err := h.greet(ctx, t, dir, cmd)
	if err != nil {
		_ = cmd.Process.Kill() // it is this process's child and not yet waited for
		_ = cmd.Wait()
		return nil, peer.EngineStatus{}, fmt.Errorf("engine of %s: %w (see %s)", t.Name, err, engineLog(dir))
	}
	return e, s, nil
}

// firstInherited is the descriptor that the first of exec.Cmd's ExtraFiles has in the child.
const firstInherited = 3

func engineLog(dir string) string { return filepath.Join(dir, "engine.log") }

// launch starts the process and hands it its start document.
func (h *Host) launch(t peer.Ticket, dir string) (*exec.Cmd, error) {
	start := engine.Start{
		Version: engine.StartVersion, Ticket: t, Identity: h.options.Identity,
		Coordinators: h.options.Peers(), Node: h.options.Node, RunDir: dir,
	}
	var files []*os.File
	if !t.Maintenance { // which has no export
		sockets, err := h.sockets.listen(t.Volume, dir, t.Exports)
		if err != nil {
			return nil, err
		}
		for _, s := range sockets {
			defer s.file.Close()
			start.Exports = append(start.Exports, engine.Inherited{Kind: s.kind, FD: firstInherited + len(files)})
			files = append(files, s.file)
		}
	}
	document, err := json.Marshal(start)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(engineLog(dir), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(h.options.Engine[0], h.options.Engine[1:]...)
	cmd.Args[0] = "holdfast"
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = append(os.Environ(), EnvRunDir+"="+h.options.RunDir, EnvEngineDir+"="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	_, err = stdin.Write(document)
	if err = errors.Join(err, stdin.Close()); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("hand it its ticket: %w", err)
	}
	return cmd, nil
}

// greet waits until the new engine answers and makes sure that it is the one that was started.
func (h *Host) greet(
	ctx context.Context, t peer.Ticket, dir string, cmd *exec.Cmd,
) (*running, peer.EngineStatus, error) {
	id, err := proc.Identify(cmd.Process.Pid)
	if err != nil {
		return nil, peer.EngineStatus{}, err
	}
	handle, err := proc.Open(id)
	if err != nil {
		return nil, peer.EngineStatus{}, err
	}
	deadline := time.Now().Add(greetTimeout)
	for {
		g, s, err := statusWithin(ctx, dir)
		hello := g.hello
		if err == nil &&
			(hello.AttachID != t.AttachID || hello.Epoch != t.Epoch || hello.Volume != t.Volume) {
			err = fmt.Errorf("another engine answers: epoch %s of volume %s", g.hello.Epoch, g.hello.Volume)
		}
		if err == nil {
			return &running{name: t.Name, dir: dir, hello: g.hello, handle: handle, child: cmd,
				gone: make(chan struct{})}, s, nil
		}
		if !id.Alive() {
			err = errors.New("it ended before it answered")
		} else if time.Now().Before(deadline) && pause.For(ctx, askSoon) {
			continue
		}
		handle.Close()
		return nil, peer.EngineStatus{}, err
	}
}

// adopt takes over the engine that answers in dir; an error means that none does.
func (h *Host) adopt(ctx context.Context, name string) (*running, peer.EngineStatus, error) {
	dir := EngineDir(h.options.RunDir, name)
	g, s, err := statusWithin(ctx, dir)
	if err != nil {
		return nil, s, err
	}
	handle, err := g.hold()
	if err != nil {
		return nil, s, err
	}
	return &running{name: name, dir: dir, hello: g.hello, handle: handle, gone: make(chan struct{})}, s, nil
}

// end ends an engine's process and waits until that was told to the core. It is always safe: what it
// did not write is not acknowledged.
func (e *running) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, endGrace+killPatience)
	defer cancel()
	if err := e.handle.Signal(syscall.SIGTERM); err != nil && !endedAlready(err) {
		return err
	}
	grace := time.NewTimer(endGrace)
	defer grace.Stop()
	select {
	case <-e.gone:
		return nil
	case <-grace.C:
	}
	if err := e.handle.Signal(syscall.SIGKILL); err != nil && !endedAlready(err) {
		return err
	}
	select {
	case <-e.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("engine of %s (%s) does not end: %w", e.name, e.handle.ID(), ctx.Err())
	}
}

// endedAlready reports whether a signal came too late.
func endedAlready(err error) bool {
	return errors.Is(err, proc.ErrGone) || errors.Is(err, os.ErrClosed)
}

// endStrays ends whatever engine runs in dir without answering: of one directory, and so of one
// socket that a guest connects to, there is one engine at most.
func endStrays(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, killPatience)
	defer cancel()
	for {
		strays, err := proc.FindEnv(EnvEngineDir, dir)
		if err != nil || len(strays) == 0 {
			return err
		}
		if err := proc.Signal(strays, syscall.SIGKILL); err != nil {
			return err
		}
		if !pause.For(ctx, askSoon) {
			return fmt.Errorf("the engine before it (%s) does not end", strays[0])
		}
	}
}

func statusWithin(ctx context.Context, dir string) (greeting, peer.EngineStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return status(ctx, dir)
}
