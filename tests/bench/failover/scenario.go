package main

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/node/devnet"
)

// scenario is one thing that goes wrong.
type scenario struct {
	name string
	// victim chooses the node that it happens to, legs the storage nodes of the volume.
	victim func(*bench, context.Context) (string, error)
	legs   func(victim string) []string
	strike func(*bench, string) error
	mend   func(*bench, context.Context, string) error
	moves  bool // the guest's host is the victim
}

func scenarios() []scenario {
	elsewhere := func(string) []string { return []string{"s1", "s2"} }
	withLeg := func(victim string) []string { return []string{"s1", victim} }
	kill := func(b *bench, node string) error { return b.cluster.Kill(node) }
	start := func(b *bench, ctx context.Context, node string) error { return b.cluster.Start(ctx, node) }
	return []scenario{
		{"host power-off", (*bench).nextHost, elsewhere, kill, start, true},
		{"host power-off, it held a leg", (*bench).nextHost, withLeg, kill, start, true},
		{"host paused", (*bench).nextHost, elsewhere,
			func(b *bench, node string) error { return b.cluster.Pause(node) },
			func(b *bench, _ context.Context, node string) error { return b.cluster.Resume(node) }, true},
		{"host partitioned", (*bench).nextHost, elsewhere,
			func(b *bench, node string) error {
				return b.cluster.Impair(devcluster.Links{Node: node}, devnet.Rules{Cut: true})
			},
			func(b *bench, _ context.Context, node string) error { return b.cluster.Heal(node) }, true},
		{"leader and host power-off", (*bench).leader, elsewhere, kill, start, true},
		{"leader power-off", (*bench).leader, elsewhere, kill, start, false},
		{"storage node power-off", func(*bench, context.Context) (string, error) { return "s2", nil },
			elsewhere, kill, start, false},
	}
}

// nextHost returns another host each time, so that the last one has time to come back.
func (b *bench) nextHost(context.Context) (string, error) {
	b.turn++
	return []string{"h1", "h2", "h3"}[b.turn%3], nil
}

// leader returns the node that leads, once it is a host too, as each coordinator here is.
func (b *bench) leader(ctx context.Context) (string, error) {
	var name string
	err := b.until(ctx, "a leader", func() (bool, error) {
		c, err := b.client.Cluster(ctx)
		name = c.Leader
		return name != "", err
	})
	return name, err
}

// run makes a volume and a guest, strikes, and measures. The victim is mended before it returns.
func (b *bench) run(ctx context.Context, s scenario) (sample, error) {
	if err := b.settled(ctx); err != nil {
		return nil, err
	}
	victim, err := s.victim(b, ctx)
	if err != nil {
		return nil, err
	}
	g, err := b.guest(ctx, victim, s)
	if err != nil {
		return nil, err
	}
	struck := time.Now()
	if err := s.strike(b, victim); err != nil {
		return nil, err
	}
	var got sample
	if s.moves {
		got, err = b.moved(ctx, g, struck)
	} else {
		got, err = b.stalled(ctx, g, struck)
	}
	if mended := s.mend(b, context.WithoutCancel(ctx), victim); mended != nil {
		return nil, errors.Join(err, mended)
	}
	if err != nil {
		return nil, err
	}
	if _, err := b.client.StopDomain(ctx, g.name, api.Wait{NoWait: true}); err != nil {
		return nil, err
	}
	return got, nil
}
