package host

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain"
)

// agented is a guest with an agent.
type agented struct {
	*movable
	has bool
	err error
}

func (a agented) HasAgent() bool { return a.has }

func (a agented) AskAgent(context.Context) error { return a.err }

// What is reported is of the guest that runs now: another run has said nothing yet.
func TestAskAgents_tellsOfTheGuestThatRuns(t *testing.T) {
	h := &Host{life: t.Context(), events: make(chan func(), 64), core: newCore("/run", nil),
		guests: map[string]hosted{}}
	for name, g := range map[string]agented{"up": {has: true}, "mute": {has: true, err: errors.New("no")}, "none": {}} {
		g.movable = &movable{order: domain.Order{Name: name, Run: 3}}
		h.guests[name] = hosted{process: g}
		h.core.guestSeen(guest{order: g.order, pid: 7, state: g.State()})
	}
	loop, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case f := <-h.events:
				f()
			case <-loop.Done():
				return
			}
		}
	}()
	h.askAgents(t.Context())
	agents := make(chan map[string]string)
	h.post(func() {
		said := map[string]string{}
		_, domains := h.core.report()
		for _, d := range domains {
			said[d.Name] = d.Agent
		}
		agents <- said
	})
	require.Equal(t, map[string]string{"up": agentAnswers, "mute": agentSilent, "none": ""}, <-agents)
	end()
	<-done
	h.core.guestSeen(guest{order: domain.Order{Name: "up", Run: 4}, pid: 8,
		state: domain.State{Phase: domain.PhaseRunning}})
	require.Empty(t, h.core.domains["up"].report().Agent)
	h.core.agentSaid("up", 3, agentAnswers)
	require.Empty(t, h.core.domains["up"].report().Agent, "that was the one before")
}
