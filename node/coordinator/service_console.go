package coordinator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/api/credential"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// errMoved ends the console of a guest that is not the one of its domain any more.
var errMoved = errors.New("the domain moved")

// runningGuest is where a domain's guest runs.
type runningGuest struct {
	node    volume.NodeID
	address string
	run     uint64
}

// silentHost is the error of a host that does not answer, or not any more. Its guest may be about to move.
type silentHost struct{ says *api.Error }

func (e silentHost) Error() string { return e.says.Error() }

func (e silentHost) Unwrap() error { return e.says }

func hostSilent(name string, err error) error {
	return silentHost{api.Errorf(api.CodeFailed, "domain/"+name, "open it again",
		"the console of domain %s broke off: its host: %s", name, err)}
}

// Console follows the guest of a domain from host to host.
func (s service) Console(ctx context.Context, name string, r api.OpenConsole,
	emit func(api.ConsoleOutput) error) error {
	use := peer.ConsoleQuery{Domain: name, Session: r.Session, User: s.who(api.CallerOf(ctx)), Take: r.Take}
	for silentSince := time.Now(); ; {
		guest, err := s.awaitGuest(ctx, name)
		if err != nil {
			return err
		}
		opened := false
		err = s.consoleOf(ctx, guest, use, func(out api.ConsoleOutput) error {
			opened = true
			return emit(out)
		})
		if opened { // however quiet the guest was
			silentSince = time.Now()
		}
		var silent silentHost
		again := s.moved(name, guest.run) || errors.As(err, &silent) && time.Since(silentSince) < patience
		if !again || !s.raft.Leading() {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(poll):
		}
	}
}

// TypeConsole hands on what was typed to the host of the guest.
func (s service) TypeConsole(ctx context.Context, name string, r api.TypeConsole) error {
	guest, err := s.guestOf(name)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	res, err := s.atHost(ctx, guest, http.MethodPost, url.Values{"domain": {name}}, payload)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var typed peer.Typed
	if err := json.NewDecoder(io.LimitReader(res.Body, peerBytesMax)).Decode(&typed); err != nil {
		return hostSilent(name, err)
	}
	if typed.Error != nil {
		return typed.Error
	}
	return nil
}

// consoleOf passes on what one guest writes. It ends with an error, also when the domain has moved.
func (s service) consoleOf(ctx context.Context, guest runningGuest, use peer.ConsoleQuery,
	emit func(api.ConsoleOutput) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.endWhenMoved(ctx, use.Domain, guest.run, cancel)
	}()
	defer func() {
		cancel(nil)
		<-watched
	}()
	res, err := s.atHost(ctx, guest, http.MethodGet, use.Values(), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	for lines := json.NewDecoder(res.Body); ; {
		var line api.ConsoleOutput
		if err := lines.Decode(&line); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return hostSilent(use.Domain, err)
		}
		if line.Error != nil {
			return line.Error
		}
		if err := emit(line); err != nil {
			return err
		}
	}
}

// endWhenMoved cancels once the domain has another guest, or none.
func (s service) endWhenMoved(ctx context.Context, name string, run uint64, cancel context.CancelCauseFunc) {
	for {
		_, revision := s.raft.State()
		switch {
		case !s.raft.Leading():
			cancel(leadLost())
			return
		case s.moved(name, run):
			cancel(errMoved)
			return
		}
		wait := time.NewTimer(poll) // lost leadership comes without a word
		select {
		case <-ctx.Done():
		case <-s.raft.Changed(revision):
		case <-wait.C:
		}
		wait.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// moved reports whether a run of a domain is not its latest any more.
func (s service) moved(name string, run uint64) bool {
	state, _ := s.raft.State()
	d := state.Domains[name]
	return d == nil || !d.Running || d.Run != run
}

// guestOf returns where a domain that is not stopped has its guest.
func (s service) guestOf(name string) (runningGuest, error) {
	state, _ := s.raft.State()
	d, err := findDomain(state, name)
	if err != nil {
		return runningGuest{}, err
	}
	host := state.Nodes[d.Host]
	if !d.Running || host == nil {
		return runningGuest{}, api.Errorf(api.CodeInvalid, "domain/"+name, "holdfast domain start "+name,
			"domain %s is stopped, so it has no console", name)
	}
	return runningGuest{node: host.ID, address: host.API, run: d.Run}, nil
}

// awaitGuest returns where the guest of a domain runs, once it does.
func (s service) awaitGuest(ctx context.Context, name string) (guest runningGuest, err error) {
	err = s.await(ctx, "domain/"+name, "starting domain "+name, func(v *control.View) (bool, error) {
		var err error
		if guest, err = s.guestOf(name); err != nil {
			return false, err
		}
		fact := v.Domain(v.State.Domains[name])
		if fact == nil || v.Condition(guest.node) == raft.NodeDead {
			return false, nil
		}
		return fact.State == control.DomainRunning || fact.State == control.DomainPaused && fact.PID != 0, nil
	})
	return guest, err
}

// atHost asks the host of a guest for its console.
func (s service) atHost(ctx context.Context, guest runningGuest, method string, query url.Values,
	payload []byte) (*http.Response, error) {
	address := s.opts.Scheme + "://" + guest.address + peer.PathConsole + "?" + query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(payload))
	if err != nil {
		return nil, err
	}
	res, err := (&http.Client{Transport: s.opts.Reach(guest.node)}).Do(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
			return nil, cause
		}
		return nil, hostSilent(query.Get("domain"), err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4096)) // what there is of it serves the message
	return nil, api.Errorf(api.CodeFailed, "domain/"+query.Get("domain"),
		"a host of an older release has no consoles: upgrade it",
		"the host of domain %s answers %s: %s", query.Get("domain"), res.Status, bytes.TrimSpace(text))
}

// who says in words who calls: whoever wants the same console is to know whom to ask.
func (s service) who(c api.Caller) string {
	state, _ := s.raft.State()
	by := "the leader"
	if len(c.Via) > 0 {
		by = state.NodeName(c.Via[0])
	}
	switch c.Kind {
	case api.CallerRoot:
		if len(c.Via) == 0 {
			by = state.NodeName(s.opts.Self)
		}
		return "root on " + by
	case api.CallerNode:
		return "node " + state.NodeName(c.Node)
	case api.CallerToken:
		if secret, err := credential.ParseBearer(c.Token); err == nil {
			if t := state.TokenByID(secret.ID()); t != nil {
				return fmt.Sprintf("who has the API token %s", t.Name)
			}
		}
	}
	return "somebody"
}
