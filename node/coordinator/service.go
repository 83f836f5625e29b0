package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
	"github.com/holdfast-storage/holdfast/volume"
)

// service implements api.Service on the leading coordinator.
type service struct{ *Coordinator }

var _ api.Service = service{}

// patience is how long a verb waits for the thing to be done before it answers that it goes on
// without being watched.
const patience = 60 * time.Second

// poll is how often a waiting verb looks although nothing was said to have changed: silence and lost
// leadership come without a word.
const poll = 250 * time.Millisecond

// notLeading is the answer of a coordinator that does not lead: nothing was done. Clients ask again.
func notLeading() error {
	return api.Errorf(api.CodeNoLeader, "cluster", "ask again", "this coordinator does not lead")
}

// leadLost is the answer of a coordinator that stopped leading while it waited for what was decided.
// Clients ask again.
func leadLost() error {
	return api.Errorf(api.CodeUnknown, "cluster", "ask again", "this coordinator does not lead any more")
}

// propose commits a command. A refusal is an *api.Error about object.
func (s service) propose(ctx context.Context, object string, cmd raft.Command) (raft.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*proposeTimeout)
	defer cancel()
	result, err := s.apply(ctx, cmd)
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrClosed):
		return result, notLeading()
	case err != nil:
		// Every verb may be repeated, so clients ask again.
		return result, api.Errorf(api.CodeUnknown, object, "ask again", "%s", err)
	case result.Err != nil:
		return result, refused(object, result.Err)
	}
	return result, nil
}

// refused makes an answer of Apply's refusal; its message says what to do.
func refused(object string, r *raft.Refusal) *api.Error {
	code, ok := map[raft.Code]api.Code{
		raft.CodeNotFound: api.CodeNotFound, raft.CodeExists: api.CodeExists,
		raft.CodeInvalid: api.CodeInvalid,
		raft.CodeBusy:    api.CodeBusy, raft.CodeRetry: api.CodeBusy, raft.CodeWait: api.CodeBusy,
		raft.CodeStale: api.CodeBusy, raft.CodeLast: api.CodeRefused, raft.CodeFrozen: api.CodeRefused,
		raft.CodeFenced: api.CodeRefused,
	}[r.Code]
	if !ok {
		code = api.CodeInternal
	}
	return api.Errorf(code, object, "", "%s", r.Message)
}

// await calls done with the latest view, after every change, until it says that the thing is done or
// cannot be. doing describes the thing, for the error when patience or ctx ends. done must not block.
func (s service) await(ctx context.Context, object, doing string,
	done func(*control.View) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		heard, revision, finished, err := s.try(done)
		if finished || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return api.Errorf(api.CodeTimeout, object, "it goes on; holdfast health says what it waits for",
				"%s is not done yet%s", doing, s.waitsFor(object))
		case <-tick.C:
		case <-heard:
		case <-s.raft.Changed(revision):
		}
	}
}

// try looks once. The channel is closed when something new was heard since.
func (s service) try(done func(*control.View) (bool, error)) (heard <-chan struct{}, revision uint64,
	ok bool, err error) {
	if !s.raft.Leading() {
		return nil, 0, false, leadLost()
	}
	state, revision := s.raft.State()
	s.mu.Lock()
	defer s.mu.Unlock()
	ok, err = done(s.view(state))
	return s.changed, revision, ok, err
}

// waitsFor returns what health says of an object, as the end of a sentence.
func (s service) waitsFor(object string) string {
	var causes []string
	s.look(func(v *control.View) {
		_, findings := control.Judge(v)
		for _, f := range findings {
			if f.Object == object {
				causes = append(causes, f.Message+": "+f.Cause)
			}
		}
	})
	if len(causes) == 0 {
		return ""
	}
	return ": " + strings.Join(causes, "; ")
}

// findVolume returns a volume by name or id.
func findVolume(s *raft.State, name string) (*raft.Volume, error) {
	if v := s.VolumeByName(name); v != nil {
		return v, nil
	}
	if id, err := volume.ParseUUID(name); err == nil && s.Volumes[volume.ID{UUID: id}] != nil {
		return s.Volumes[volume.ID{UUID: id}], nil
	}
	return nil, api.Errorf(api.CodeNotFound, "volume/"+name, "holdfast volume list shows those that exist",
		"there is no volume %s", name)
}

// findNode returns a node by name or id.
func findNode(s *raft.State, name string) (*raft.Node, error) {
	if n := s.NodeByName(name); n != nil {
		return n, nil
	}
	if id, err := volume.ParseUUID(name); err == nil && s.Nodes[volume.NodeID{UUID: id}] != nil {
		return s.Nodes[volume.NodeID{UUID: id}], nil
	}
	return nil, api.Errorf(api.CodeNotFound, "node/"+name, "holdfast node list shows those that exist",
		"there is no node %s", name)
}

// findHost returns a host by name or id, if it takes guests and lives.
func findHost(v *control.View, name string) (*raft.Node, error) {
	n, err := findNode(v.State, name)
	if err != nil {
		return nil, err
	}
	object := "node/" + n.Name
	switch {
	case !n.Has(raft.RoleHost):
		return nil, api.Errorf(api.CodeInvalid, object, "choose a node with the role host",
			"node %s is no host", n.Name)
	case n.Retiring && n.Stays:
		return nil, api.Errorf(api.CodeBusy, object, "choose another host, or holdfast node undrain "+n.Name,
			"node %s takes no guests: it is drained", n.Name)
	case n.Pending || n.Retiring:
		return nil, api.Errorf(api.CodeBusy, object, "choose another host",
			"node %s takes no guests: it is being replaced or waits to replace another", n.Name)
	case v.Condition(n.ID) == raft.NodeDead:
		return nil, api.Errorf(api.CodeFailed, object, "start it, or choose another host",
			"host %s is silent", n.Name)
	}
	return n, nil
}

func findDomain(s *raft.State, name string) (*raft.Domain, error) {
	if d := s.Domains[name]; d != nil {
		return d, nil
	}
	return nil, api.Errorf(api.CodeNotFound, "domain/"+name, "holdfast domain list shows those that exist",
		"there is no domain %s", name)
}

// reading runs read on the latest view and returns what it made.
func reading[T any](s service, read func(*control.View) (T, error)) (T, error) {
	var out T
	var err error
	s.look(func(v *control.View) { out, err = read(v) })
	return out, err
}

// deciding runs decide on the leader's state and returns what it made. Of a coordinator that does not lead, or has just
// ceased to, the state may be an old one: what would be decided or refused by that is not said, and clients ask again.
func deciding[T any](s service, decide func(*raft.State) (T, error)) (T, error) {
	var none T
	if !s.raft.Leading() {
		return none, notLeading()
	}
	state, _ := s.raft.State()
	out, err := decide(state)
	if !s.raft.Leading() { // any more
		return none, notLeading()
	}
	return out, err
}

func phrase(format string, args ...any) string { return fmt.Sprintf(format, args...) }
