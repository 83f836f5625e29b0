package devnet

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"
)

// pipeBytesMax is what a direction holds at most, as the buffer of a real device: what comes on top is lost.
const pipeBytesMax = 32 << 20

// pipe is one direction of a link.
type pipe struct {
	deliver func(frame []byte) // keeps nothing of the frame; it may drop it

	mu       sync.Mutex // protects what follows; held while a frame that need not wait is delivered, for their order
	rules    Rules
	chance   *rand.Rand
	held     []heldFrame // oldest first
	bytes    int         // of held
	draining bool
}

type heldFrame struct {
	due  time.Time
	data []byte
}

// newPipe makes an open direction. What it loses by chance depends on the two names and on nothing else.
func newPipe(from, to string, deliver func([]byte)) *pipe {
	seed := fnv.New64a()
	_, _ = seed.Write([]byte(from + ">" + to)) // never fails
	return &pipe{deliver: deliver, chance: rand.New(rand.NewPCG(seed.Sum64(), 0))}
}

func (p *pipe) set(r Rules) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = r
}

func (p *pipe) get() Rules {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rules
}

// send takes one frame, which stays the caller's. It reports whether somebody has to call drain now.
func (p *pipe) send(frame []byte, now time.Time) (drain bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.rules.Cut || p.rules.Loss > 0 && p.chance.Float64() < p.rules.Loss:
	case p.rules.Delay == 0 && len(p.held) == 0:
		p.deliver(frame)
	case p.bytes+len(frame) <= pipeBytesMax:
		p.held = append(p.held, heldFrame{now.Add(p.rules.Delay), append([]byte(nil), frame...)})
		p.bytes += len(frame)
		drain = !p.draining
		p.draining = true
	}
	return drain
}

// drain delivers what is held, each frame in its time, until nothing is or ctx ends. A cut that was made meanwhile
// loses what is on its way, as a cable does.
func (p *pipe) drain(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		wait, more := p.deliverDue(time.Now())
		if !more {
			return
		}
		timer.Reset(wait)
	}
}

func (p *pipe) deliverDue(now time.Time) (wait time.Duration, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.held) > 0 {
		next := p.held[0]
		if wait = next.due.Sub(now); wait > 0 {
			return wait, true
		}
		p.held = p.held[1:]
		p.bytes -= len(next.data)
		if !p.rules.Cut {
			p.deliver(next.data)
		}
	}
	p.held, p.draining = nil, false
	return 0, false
}
