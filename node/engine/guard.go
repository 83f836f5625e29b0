package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"

	"github.com/holdfast-storage/holdfast/domain/proc"
)

// guards hold the processes of the domUs that use the volume, each by a pidfd, so that the one that
// is killed is the one that was meant.
//
// Invariant: after strike every process that was or is ever added is killed.
type guards struct {
	log *slog.Logger

	mu     sync.Mutex // protects what follows
	held   map[Guard]*proc.Handle
	struck bool
}

func newGuards(log *slog.Logger) *guards {
	return &guards{log: log, held: make(map[Guard]*proc.Handle)}
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
		g.kill(handle)
		return errors.New("guard: the grant is lost already, so the process was killed")
	}
	g.prune()
	if g.held[guard] != nil {
		handle.Close()
		return nil
	}
	g.held[guard] = handle
	return nil
}

// remove lets go of a process; one that is not held is no error.
func (g *guards) remove(guard Guard) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if handle := g.held[guard]; handle != nil {
		handle.Close()
		delete(g.held, guard)
	}
}

// strike kills every process that is held, with its descendants.
func (g *guards) strike() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.struck = true
	for guard, handle := range g.held {
		g.kill(handle)
		delete(g.held, guard)
	}
}

// close lets go of all processes; they run on.
func (g *guards) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for guard, handle := range g.held {
		handle.Close()
		delete(g.held, guard)
	}
}

// prune lets go of processes that have ended. The caller holds mu.
func (g *guards) prune() {
	for guard, handle := range g.held {
		if errors.Is(handle.Signal(0), proc.ErrGone) {
			handle.Close()
			delete(g.held, guard)
		}
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
