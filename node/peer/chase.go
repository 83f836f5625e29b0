package peer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// chase is one command on its way to whoever leads.
//
// The coordinators are asked in turn, the last known leader first. One that does not answer within
// hedgePause is not given up, since it may be about to commit: the next one is asked beside it, and the
// first answer of a leader wins. So a leader that is paused, or lost its power without a word, costs
// hedgePause and not attemptTimeout. Two of them may take the same command in; all commands that nodes
// and engines send are idempotent.
type chase struct {
	*Client
	path    string
	body    any
	answers chan answer
	busy    map[volume.NodeID]bool // asked, no answer yet
	asked   map[volume.NodeID]bool // in this round
	errs    []error                // of this round and of the one before
}

// answer is what one coordinator made of the command.
type answer struct {
	from   Peer
	status int
	result raft.Result
	err    error
}

// final reports whether asking again, or another one, changes nothing: a leader has answered, or
// somebody who understood the call refuses it.
func (a answer) final() bool {
	return a.err == nil || a.status >= 400 && a.status < 500 && a.status != http.StatusMisdirectedRequest
}

// toLeader posts body to the coordinators until one of them answers for the leader.
func (c *Client) toLeader(ctx context.Context, path string, body any) (raft.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel() // ends the attempts that nobody waits for any more
	h := &chase{Client: c, path: path, body: body, answers: make(chan answer),
		busy: make(map[volume.NodeID]bool)}
	for again := retryPause; ; again = min(2*again, retryPauseMax) {
		if a, ok := h.round(ctx, again); ok {
			return a.result, a.err
		}
		if ctx.Err() != nil {
			return raft.Result{}, fmt.Errorf("%w: %w", ErrNoLeader, errors.Join(append(h.errs, ctx.Err())...))
		}
	}
}

// round asks each coordinator once that is not busy with an earlier attempt, and returns after a pause
// without a final answer, or with one.
func (h *chase) round(ctx context.Context, again time.Duration) (answer, bool) {
	h.asked = make(map[volume.NodeID]bool, len(h.busy))
	for id := range h.busy {
		h.asked[id] = true
	}
	failed := h.errs
	h.errs = nil
	wait, more := h.step(ctx, again)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case a := <-h.answers:
			delete(h.busy, a.from.ID)
			if a.err == nil {
				h.noteLeader(a.from) // it leads, or passes on to the one that does
			}
			if a.final() {
				if a.err != nil {
					a.result = raft.Result{}
				}
				return a, true
			}
			h.errs = append(h.errs, a.err)
			if !more {
				continue // the pause goes on
			}
		case <-timer.C:
			if !more {
				if len(h.errs) == 0 {
					h.errs = failed // those that hang say nothing
				}
				return answer{}, false
			}
		case <-ctx.Done():
			return answer{}, false
		}
		wait, more = h.step(ctx, again)
		timer.Reset(wait)
	}
}

// step asks the next coordinator, if there is one, and returns how long to wait before the next step.
func (h *chase) step(ctx context.Context, again time.Duration) (wait time.Duration, more bool) {
	p, ok := h.next(h.asked)
	if !ok {
		return again, false
	}
	h.busy[p.ID] = true
	h.running.Go(func() {
		attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
		defer cancel()
		a := answer{from: p}
		a.status, a.err = h.call(attempt, http.MethodPost, p, h.path, h.body, &a.result)
		select {
		case h.answers <- a:
		case <-ctx.Done():
		}
	})
	return hedgePause, true
}
