// Package plug lets what handles a burst of requests put off the system calls that send them on, until the burst is
// handled: then each connection is written to once for all of them.
//
//	reader: Hold ─▶ request ─▶ request ─▶ … ─▶ Release ─▶ every sender sends what it has
//	sender: queued something ─▶ PutOff? ─▶ yes: wait for a Release;  no: send now
package plug

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Plug is shared by readers, which hold it while they handle requests that have arrived, and senders, which do not
// send while somebody holds it. Every Release sends, not only the last one, so that holders that take turns put
// nothing off for long. The zero value is ready; a nil Plug puts nothing off. It is safe for use by many goroutines.
//
// Invariant: what PutOff reported true for is sent by a Release that begins after it or runs at the time.
type Plug struct {
	holders atomic.Int32
	put     atomic.Bool // something was put off, or nearly, since the last Release
	mu      sync.Mutex
	senders atomic.Pointer[[]*sender] // copied on write, with mu held
}

type sender struct{ send func() }

// Hold puts off what is queued from now on. The holder must Release before it waits for anything.
func (p *Plug) Hold() {
	if p != nil {
		p.holders.Add(1)
	}
}

// Release ends a Hold, and sends what was put off, on this goroutine. The caller holds no lock that a sender takes.
func (p *Plug) Release() {
	if p == nil {
		return
	}
	p.holders.Add(-1)
	if !p.put.Swap(false) {
		return
	}
	if all := p.senders.Load(); all != nil {
		for _, s := range *all {
			s.send()
		}
	}
}

// PutOff reports whether somebody will Release, so that the caller need not send what it has queued.
func (p *Plug) PutOff() bool {
	if p == nil || p.holders.Load() == 0 {
		return false
	}
	p.put.Store(true)
	// The last holder may have released before it could see that. The word is not taken back then, since it may be
	// another sender's, too, for whom nobody else would send: a Release that finds it in vain does no harm.
	return p.holders.Load() > 0
}

// Add registers a sender, whose function must not wait for I/O and may be called by any goroutine that holds no
// lock of the sender's. It returns what takes it out again; a call that is under way may end after that.
func (p *Plug) Add(send func()) (remove func()) {
	if p == nil {
		return func() {}
	}
	s := &sender{send}
	p.change(func(all []*sender) []*sender { return append(all, s) })
	return func() {
		p.change(func(all []*sender) []*sender {
			return slices.DeleteFunc(all, func(o *sender) bool { return o == s })
		})
	}
}

func (p *Plug) change(edit func([]*sender) []*sender) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*sender
	if old := p.senders.Load(); old != nil {
		all = slices.Clone(*old)
	}
	all = edit(all)
	p.senders.Store(&all)
}
