package main

import (
	"context"

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
	mend   func(*bench, string) error // does not wait until it is back
	moves  bool                       // the guests' host is the victim
}

func scenarios() []scenario {
	elsewhere := func(string) []string { return []string{"s1", "s2"} }
	withLeg := func(victim string) []string { return []string{"s1", victim} }
	kill := func(b *bench, node string) error { return b.cluster.Kill(node) }
	start := func(b *bench, node string) error { return b.cluster.Launch(node) }
	pause := func(b *bench, node string) error { return b.cluster.Pause(node) }
	resume := func(b *bench, node string) error { return b.cluster.Resume(node) }
	return []scenario{
		{"host power-off", (*bench).nextHost, elsewhere, kill, start, true},
		{"host power-off, it held a leg", (*bench).nextHost, withLeg, kill, start, true},
		{"host paused", (*bench).nextHost, elsewhere, pause, resume, true},
		{"host partitioned", (*bench).nextHost, elsewhere,
			func(b *bench, node string) error {
				return b.cluster.Impair(devcluster.Links{Node: node}, devnet.Rules{Cut: true})
			},
			func(b *bench, node string) error { return b.cluster.Heal(node) }, true},
		{"leader and host power-off", (*bench).leader, elsewhere, kill, start, true},
		{"leader and host power-off, it held a leg", (*bench).leader, withLeg, kill, start, true},
		{"leader and host paused", (*bench).leader, elsewhere, pause, resume, true},
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

// leader returns the node that leads. Each coordinator here is a host and a storage node too.
func (b *bench) leader(ctx context.Context) (string, error) {
	var name string
	err := b.until(ctx, "a leader", func() (bool, error) {
		c, err := b.client.Cluster(ctx)
		name = c.Leader
		return name != "", err
	})
	return name, err
}
