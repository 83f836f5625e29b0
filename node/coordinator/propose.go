package coordinator

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

const (
	// batchMax bounds how much is proposed before the controllers look again: what is urgent then comes
	// first, and does not wait until all the rest is done.
	batchMax = 128
	// proposeWidth is how many commands of one kind are on their way at once; raft writes them to its log
	// together.
	proposeWidth = 32
)

// propose commits commands and remembers when each may be proposed again. Those of one kind that follow each
// other are about different objects and go together; the others wait for those before them.
func (l *loop) propose(commands []raft.Command, now time.Time) {
	for key, until := range l.pauses {
		if now.After(until) {
			delete(l.pauses, key)
		}
	}
	for len(commands) > 0 {
		n := together(commands)
		pauses := make([]time.Duration, n)
		var work sync.WaitGroup
		for i, cmd := range commands[:n] {
			work.Go(func() { pauses[i] = l.proposeOne(cmd) })
		}
		work.Wait()
		for i, cmd := range commands[:n] {
			if pauses[i] < 0 {
				return // the next leader decides anew
			}
			if cmd.RecordEvent == nil {
				l.pauses[subject(cmd)] = now.Add(pauses[i])
			}
		}
		commands = commands[n:]
	}
}

// together returns how many of the first commands may be proposed at once.
func together(commands []raft.Command) int {
	n := 1
	if commands[0].RecordEvent != nil {
		return n // events keep their order
	}
	for n < len(commands) && n < proposeWidth && commands[n].Name() == commands[0].Name() {
		n++
	}
	return n
}

// proposeOne commits one command. It returns for how long it is not to be proposed again, less than zero
// if this coordinator does not lead any more. A new leg whose store has no room for it by now is decided
// anew: what else was asked for at the same time took it.
func (l *loop) proposeOne(cmd raft.Command) time.Duration {
	isDoubtful := false
	if r := cmd.ReplaceLeg; r != nil {
		if !l.takeRoom(r) {
			return acceptedPause
		}
		defer func() { l.settle([]raft.NewLeg{r.New}, isDoubtful) }()
	}
	ctx, cancel := context.WithTimeout(l.ctx, proposeTimeout)
	defer cancel()
	cmd.At = l.opts.Now()
	result, err := l.commit(ctx, cmd)
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrClosed):
		return -1
	case err != nil:
		isDoubtful = true
		l.log.Warn("proposal", "command", cmd.Name(), "error", err)
	case result.Err != nil:
		l.log.Debug("proposal refused", "command", cmd.Name(), "code", result.Err.Code, "cause",
			result.Err.Message)
	default:
		return acceptedPause
	}
	return refusedPause
}

// errNoRoom is what takeRoom decides on a leg that does not fit any more; nobody is told.
var errNoRoom = errors.New("no room")

// takeRoom asks control.StillFits of the latest state, and sets the space of the leg aside if it does.
func (c *Coordinator) takeRoom(r *raft.ReplaceLeg) bool {
	return c.reserve(volume.ID{}, func(v *control.View) ([]raft.NewLeg, int64, error) {
		if !control.StillFits(v, r) {
			return nil, 0, errNoRoom
		}
		return []raft.NewLeg{r.New}, v.State.Volumes[r.Volume].StoreBytes(), nil
	}) == nil
}
