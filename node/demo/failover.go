package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/api"
)

// poll is how often the demo looks whether something came about.
const poll = 20 * time.Millisecond

// failover freezes the whole host of the guest: its daemon, engine and guest. The cluster finds out
// by itself.
func (s *show) failover(ctx context.Context) error {
	before, err := s.client.Volume(ctx, volumeName)
	if err != nil {
		return err
	}
	if err := s.cluster.Pause(firstHost); err != nil {
		return err
	}
	s.frozen = time.Now()
	s.flushed = s.watcher.highest()
	s.say("%s is frozen (SIGSTOP); %d records were flushed by then", firstHost, s.flushed)
	granted, err := s.awaitVolume(ctx, "a new grant", func(v api.Volume) bool { return v.Epoch > before.Epoch })
	if err != nil {
		return err
	}
	s.measure("host's freeze → takeover decided", time.Since(s.frozen))
	s.say("the coordinators granted epoch %d to %s", granted.Epoch, secondHost)
	start, err := s.watcher.await(ctx, "the clone's start",
		func(l LogLine) bool { return l.Event == "start" && l.Epoch > before.Epoch })
	if err != nil {
		return err
	}
	if start.Next < s.flushed {
		return fmt.Errorf("the clone found %d records, but %d were flushed: acknowledged data is lost",
			start.Next, s.flushed)
	}
	s.resumed = start.Next
	s.measure("host's freeze → the clone has read its disk", start.At.Sub(s.frozen))
	s.say("the clone goes on at record %d on %s", start.Next, secondHost)
	line, err := s.watcher.await(ctx, "the clone's first flush",
		func(l LogLine) bool { return l.Event == "flushed" && l.Epoch > before.Epoch })
	if err != nil {
		return err
	}
	s.measure("host's freeze → the clone's first flushed write", line.At.Sub(s.frozen))
	serving, err := s.client.Volume(ctx, volumeName)
	if err != nil {
		return err
	}
	if serving.Attachment != nil {
		for _, stage := range serving.Attachment.Stages {
			s.measure("  engine's start → "+stage.Name, time.Duration(stage.Seconds*float64(time.Second)))
		}
	}
	return nil
}

// wake lets the frozen host go on. It believes that it still holds the volume.
func (s *show) wake(ctx context.Context) error {
	before, err := s.refusals(ctx)
	if err != nil {
		return err
	}
	if err := s.cluster.Resume(firstHost); err != nil {
		return err
	}
	began := time.Now()
	if err := s.until(ctx, "the old guest and engine to be gone", func() (bool, error) {
		nodes, err := s.cluster.Status()
		if err != nil {
			return false, err
		}
		for _, n := range nodes {
			if n.Name == firstHost {
				return len(n.Processes) == 1 && n.Processes[0] == n.PID, nil
			}
		}
		return false, nil
	}); err != nil {
		return err
	}
	s.measure("host's awakening → its guest and engine killed", time.Since(began))
	refused, err := s.refusedSince(ctx, before)
	if err != nil {
		return err
	}
	if refused == (refusals{}) {
		s.say("the old engine asked no storage node before its host ended it; its guest was killed")
	} else {
		s.say("storage nodes refused %d logins and %d commands of the old host; its guest was killed",
			refused.logins, refused.commands)
	}
	if line, bad := s.watcher.unbacked(s.resumed); bad {
		return fmt.Errorf("the old guest was told at %s that all below record %d was flushed, its clone began at %d",
			line.At.Format(time.RFC3339Nano), line.Next, s.resumed)
	}
	return nil
}

// refusals counts what the storage nodes turned away.
type refusals struct{ logins, commands uint64 }

// toldWithin is by when the coordinators know what a storage node counted: it comes with the next heartbeats.
const toldWithin = 3 * time.Second

// refusedSince returns what the storage nodes turned away, as soon as that is anything. It may be nothing: the old
// engine meets the fence when it logs in again, unless its own host, which hears of the takeover at the same time, was
// faster. That none of its writes landed is shown by what the guests read, not by this.
func (s *show) refusedSince(ctx context.Context, before refusals) (refusals, error) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for over := time.After(toldWithin); ; {
		after, err := s.refusals(ctx)
		if err != nil || after != before {
			return refusals{after.logins - before.logins, after.commands - before.commands}, err
		}
		select {
		case <-ctx.Done():
			return refusals{}, ctx.Err()
		case <-over:
			return refusals{}, nil
		case <-tick.C:
		}
	}
}

func (s *show) refusals(ctx context.Context) (refusals, error) {
	var sum refusals
	for _, name := range []string{keptNode, lostNode} {
		n, err := s.client.Node(ctx, name)
		if err != nil {
			return sum, err
		}
		for _, l := range n.Legs {
			sum.logins += l.RefusedLogins
			sum.commands += l.RefusedCommands
		}
	}
	return sum, nil
}

// awaitVolume polls the volume until cond holds.
func (s *show) awaitVolume(ctx context.Context, what string, cond func(api.Volume) bool) (v api.Volume, err error) {
	err = s.until(ctx, what, func() (bool, error) {
		v, err = s.client.Volume(ctx, volumeName)
		return err == nil && cond(v), err
	})
	return v, err
}

// until polls cond until it holds, fails, or takes too long.
func (s *show) until(ctx context.Context, what string, cond func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("waited %s for %s in vain", patience, what))
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		ok, err := cond()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// patience is how long the demo waits for any single thing.
const patience = 30 * time.Second
