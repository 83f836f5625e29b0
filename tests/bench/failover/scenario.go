package main

import (
	"context"
	"time"

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
	lasts  time.Duration              // at least, from strike to mend; zero = until it is measured
}

// frozen is how long a host is paused or cut off: one that is heard again sooner after it was found dead was only
// slow, and the coordinators give it more time from then on, which is not what is measured here.
const frozen = 7 * time.Second

func scenarios() []scenario {
	elsewhere := func(string) []string { return []string{"s1", "s2"} }
	withLeg := func(victim string) []string { return []string{"s1", victim} }
	kill := func(b *bench, node string) error { return b.cluster.Kill(node) }
	start := func(b *bench, node string) error { return b.cluster.Launch(node) }
	pause := func(b *bench, node string) error { return b.cluster.Pause(node) }
	resume := func(b *bench, node string) error { return b.cluster.Resume(node) }
	return []scenario{
		{"host power-off", (*bench).nextHost, elsewhere, kill, start, true, 0},
		{"host power-off, it held a leg", (*bench).nextHost, withLeg, kill, start, true, 0},
		{"host paused", (*bench).nextHost, elsewhere, pause, resume, true, frozen},
		{"host partitioned", (*bench).nextHost, elsewhere,
			func(b *bench, node string) error {
				return b.cluster.Impair(devcluster.Links{Node: node}, devnet.Rules{Cut: true})
			},
			func(b *bench, node string) error { return b.cluster.Heal(node) }, true, frozen},
		{"leader and host power-off", (*bench).leader, elsewhere, kill, start, true, 0},
		{"leader and host power-off, it held a leg", (*bench).leader, withLeg, kill, start, true, 0},
		{"leader and host paused", (*bench).leader, elsewhere, pause, resume, true, frozen},
		{"leader power-off", (*bench).leader, elsewhere, kill, start, false, 0},
		{"storage node power-off", func(*bench, context.Context) (string, error) { return "s2", nil },
			elsewhere, kill, start, false, 0},
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
