package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/domain/proc"
)

// How a guest's kill command is run.
const (
	// killLimit is for one run of it: then it is killed and run again. What a driver does takes a minute at most, and
	// knows best when to give up.
	killLimit = 75 * time.Second
	// killPause comes after one that failed.
	killPause = 500 * time.Millisecond
)

// guards hold the processes of the domUs that use the volume, each by a pidfd, so that the one that
// is killed is the one that was meant. A domU that does not end with its process has a command that ends it.
//
// Invariant: after strike every process that was or is ever added is killed, and its kill command is run until it
// has succeeded or the engine was told to end.
type guards struct {
	log   *slog.Logger
	limit time.Duration // for one run of a kill command

	life    context.Context // of the kill commands
	giveUp  context.CancelFunc
	killing sync.WaitGroup // one for each kill command that has not succeeded

	mu     sync.Mutex // protects what follows
	held   map[guardKey]guarded
	struck bool
}

// guardKey names a process.
type guardKey struct {
	pid   int
	start uint64
}

// guarded is a process that is held, and what else ends its guest.
type guarded struct {
	handle *proc.Handle
	kill   []string // empty: it ends with its process
}

func (g Guard) key() guardKey { return guardKey{g.PID, g.StartTime} }

func newGuards(log *slog.Logger) *guards {
	g := &guards{log: log, limit: killLimit, held: make(map[guardKey]guarded)}
	g.life, g.giveUp = context.WithCancel(context.Background())
	return g
}

// add takes hold of a process; again is the same. One that comes after the grant was lost is killed
// and refused.
func (g *guards) add(guard Guard) error {
	boot, err := proc.BootID()
	if err != nil {
		return err
	}
	handle, err := proc.Open(proc.ID{PID: guard.PID, Start: guard.StartTime, Boot: boot})
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.struck {
		g.end(guarded{handle, guard.Kill})
		return errors.New("guard: the grant is lost already, so the process was killed")
	}
	g.prune()
	if _, again := g.held[guard.key()]; again {
		handle.Close()
		return nil
	}
	g.held[guard.key()] = guarded{handle, guard.Kill}
	g.log.Info("domU is guarded", "pid", guard.PID, "by_command", len(guard.Kill) > 0)
	return nil
}

// remove lets go of a process; one that is not held is no error.
func (g *guards) remove(guard Guard) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if held, ok := g.held[guard.key()]; ok {
		held.handle.Close()
		delete(g.held, guard.key())
	}
}

// strike kills every process that is held, with its descendants, and sees to the kill commands; it does not wait for
// those.
func (g *guards) strike() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.struck = true
	for key, held := range g.held {
		g.end(held)
		delete(g.held, key)
	}
}

// settle waits until every kill command has succeeded, or ctx ends: then those that have not are given up.
func (g *guards) settle(ctx context.Context) {
	defer context.AfterFunc(ctx, g.giveUp)()
	g.killing.Wait()
}

// close lets go of all processes; they run on.
func (g *guards) close() {
	g.giveUp()
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, held := range g.held {
		held.handle.Close()
		delete(g.held, key)
	}
}

// prune lets go of processes that have ended, before another one is added: a host starts a guest when nothing is left
// of the one before, also of one with a kill command. The caller holds mu.
func (g *guards) prune() {
	for key, held := range g.held {
		if errors.Is(held.handle.Signal(0), proc.ErrGone) {
			held.handle.Close()
			delete(g.held, key)
		}
	}
}

// end kills one process and has its kill command run. The caller holds mu.
func (g *guards) end(held guarded) {
	g.kill(held.handle)
	if len(held.kill) > 0 {
		g.killing.Go(func() { g.command(held.kill) })
	}
}

// kill kills one process and the descendants that it has at this moment, and closes the handle.
func (g *guards) kill(handle *proc.Handle) {
	defer handle.Close()
	family, err := proc.Descendants([]proc.ID{handle.ID()})
	err = errors.Join(err, handle.Signal(syscall.SIGKILL), proc.Signal(family, syscall.SIGKILL))
	if err != nil && !errors.Is(err, proc.ErrGone) {
		g.log.Error("domU was not killed", "pid", handle.ID().PID, "error", err)
		return
	}
	g.log.Warn("domU killed: the grant is lost", "pid", handle.ID().PID, "descendants", len(family))
}

// command runs a kill command until it succeeds.
func (g *guards) command(kill []string) {
	for {
		err := g.once(kill)
		if err == nil {
			g.log.Warn("domU ended: the grant is lost", "command", strings.Join(kill, " "))
			return
		}
		if g.life.Err() != nil {
			g.log.Error("domU may still run: this engine was told to end", "command", strings.Join(kill, " "))
			return
		}
		g.log.Error("domU is not known to have ended; its kill command is run again", "error", err)
		select {
		case <-g.life.Done():
		case <-time.After(killPause):
		}
	}
}

// once runs a kill command. It is bounded in time, with whatever it started.
func (g *guards) once(kill []string) error {
	ctx, cancel := context.WithTimeout(g.life, g.limit)
	defer cancel()
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, kill[0], kill[1:]...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // its own: nobody waited yet
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(kill, " "), err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
