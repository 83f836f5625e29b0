package demo

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/tests/linuxguest"
	"github.com/holdfast-storage/holdfast/volume"
)

// seat is the demo's place at the guest's console, which follows the guest from host to host.
type seat struct {
	session string
	cancel  context.CancelFunc // ends the console
	over    chan struct{}      // closed once it has ended

	mu    sync.Mutex // protects what follows
	said  []speech
	ended error // why the console is over; nil while it is not
}

// speech is what the guest has said on one host.
type speech struct {
	host string
	text string
}

// takeSeat opens the console. It stays open until the guest is stopped, or ctx ends; leave must follow.
func takeSeat(ctx context.Context, client *api.Client) *seat {
	ctx, cancel := context.WithCancel(ctx)
	s := &seat{session: volume.NewUUID().String(), cancel: cancel, over: make(chan struct{})}
	go func() {
		defer close(s.over)
		err := client.Console(ctx, domainName, api.OpenConsole{Session: s.session}, func(out api.ConsoleOutput) error {
			s.hear(out)
			return nil
		})
		if err == nil {
			err = fmt.Errorf("the console is over")
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = err
	}()
	return s
}

// leave closes the console and waits until nobody listens there any more.
func (s *seat) leave() {
	s.cancel()
	<-s.over
}

func (s *seat) hear(out api.ConsoleOutput) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if out.Host != "" {
		s.said = append(s.said, speech{host: out.Host})
	}
	if len(s.said) > 0 {
		s.said[len(s.said)-1].text += string(out.Data)
	}
}

// last returns the last number that the guest has reported, wherever it was; zero if none.
func (s *seat) last() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := uint64(0)
	for _, part := range s.said {
		for _, n = range linuxguest.Synced(part.text) {
		}
	}
	return n
}

// await returns the first number that the guest has reported on a host and that is enough.
func (s *seat) await(ctx context.Context, host, what string, enough func(uint64) bool) (uint64, error) {
	var found uint64
	err := s.until(ctx, what, func(said []speech) bool {
		for _, part := range said {
			if part.host != host {
				continue
			}
			for _, n := range linuxguest.Synced(part.text) {
				if enough(n) {
					found = n
					return true
				}
			}
		}
		return false
	})
	return found, err
}

// ask types a command into the guest's shell and returns the first line of its answer.
func (s *seat) ask(ctx context.Context, client *api.Client, command string) (string, error) {
	const before, behind = "answer:", ":answer"
	// What is typed is shown, too, so the shell is to write the marks in another way than they are typed.
	line := "echo answer\":$(" + command + "):\"answer\n"
	if err := client.TypeConsole(ctx, domainName, api.TypeConsole{Session: s.session, Data: []byte(line)}); err != nil {
		return "", err
	}
	var answer string
	err := s.until(ctx, "the guest's shell", func(said []speech) bool {
		for _, part := range said {
			if _, rest, found := strings.Cut(part.text, before); found {
				if text, _, whole := strings.Cut(rest, behind); whole {
					answer = strings.TrimSpace(text)
					return true
				}
			}
		}
		return false
	})
	return answer, err
}

// until waits for what the guest says.
func (s *seat) until(ctx context.Context, what string, cond func([]speech) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, machinePatience,
		fmt.Errorf("waited %s for %s in vain", machinePatience, what))
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		s.mu.Lock()
		done, ended := cond(s.said), s.ended
		s.mu.Unlock()
		if done {
			return nil
		}
		if ended != nil {
			return fmt.Errorf("waited for %s: %w", what, ended)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
