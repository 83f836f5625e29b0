package host

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/node/pause"
)

// agentEvery is between two questions whether the agents of guests answer.
const agentEvery = 10 * time.Second

// What is reported of a guest's agent; of a guest without one, nothing.
const (
	agentAnswers = "answers"
	agentSilent  = "silent"
)

// asksAgents asks the agents of guests, again and again until the host's end. Nothing waits for what they say: it is
// told to who looks at the domain, and decides nothing.
func (h *Host) asksAgents() {
	for pause.For(h.life, agentEvery) {
		h.askAgents(h.life)
	}
}

// askAgents asks every agent once, all at the same time.
func (h *Host) askAgents(ctx context.Context) {
	found := make(chan map[string]hosted, 1)
	h.post(func() { found <- maps.Clone(h.guests) })
	var guests map[string]hosted
	select {
	case guests = <-found:
	case <-ctx.Done():
		return
	}
	var asked sync.WaitGroup
	for name, g := range guests {
		guest, ok := g.process.(domain.Agented)
		if !ok || !guest.HasAgent() || g.process.State().Phase != domain.PhaseRunning {
			continue
		}
		asked.Go(func() {
			said := agentAnswers
			if err := guest.AskAgent(ctx); err != nil {
				said = agentSilent
			}
			h.post(func() {
				if h.guests[name].process == g.process {
					h.core.agentSaid(name, g.process.Order().Run, said)
				}
			})
		})
	}
	asked.Wait()
}

// agentSaid takes in whether the agent of a guest answers.
func (c *core) agentSaid(name string, run uint64, said string) {
	if d := c.domains[name]; d != nil && d.guest.running() && d.guest.order.Run == run {
		d.agent = said
	}
}
