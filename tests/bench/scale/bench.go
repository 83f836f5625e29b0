package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/holdfast-storage/holdfast/tests/bench/compare"
	"github.com/holdfast-storage/holdfast/tests/bench/lab"
)

const (
	busyBytes = 256 << 20
	idleBytes = 16 << 20
	// settle is how long idle volumes are left alone before anything is measured: what an attach left behind is
	// cleared away. Then it is watched for a while what all of them take.
	settle = 12 * time.Second
	watch  = 10 * time.Second
	// What an idle volume may take, to be on the safe side, and what the machine keeps for others.
	idleMiB = 48
	keepMiB = 4 << 10
)

// bench is one busy volume beside others.
type bench struct {
	cluster *lab.Cluster
	load    compare.Load
	rounds  int
	busy    compare.Server // the engine and all daemons
	idle    []lab.Disk
}

// jobs are what the busy volume is asked.
func jobs() []compare.Job {
	var some []compare.Job
	for _, j := range compare.Jobs() {
		if j.Block == "4k" {
			some = append(some, j)
		}
	}
	return some
}

func (b *bench) prepare(ctx context.Context) error {
	d, err := b.cluster.Attach(ctx, "busy", busyBytes, "h1")
	if err != nil {
		return err
	}
	daemons, err := b.cluster.Daemons()
	if err != nil {
		return err
	}
	b.busy = compare.Server{Name: "busy", URL: d.URL, PIDs: []int{d.Engine}}
	for _, pid := range daemons {
		b.busy.PIDs = append(b.busy.PIDs, pid)
	}
	return b.load.Fill(ctx, b.busy)
}

// room returns how many idle volumes there may be in all, n at most.
func (b *bench) room(n int) (int, error) {
	available, err := lab.AvailableMiB()
	if err != nil {
		return 0, err
	}
	return min(n, len(b.idle)+max(0, int(available-keepMiB)/idleMiB)), nil
}

// step measures all jobs beside n idle volumes.
func (b *bench) step(ctx context.Context, n int, r *report) error {
	fmt.Fprintf(os.Stderr, "beside %d other volumes\n", n)
	if err := b.attach(ctx, n); err != nil {
		return err
	}
	if err := lab.Wait(ctx, settle); err != nil {
		return err
	}
	s := step{Idle: n, Jobs: map[string][]compare.Measured{}}
	var err error
	if s.OwnCores, s.IdleCores, err = b.rest(ctx); err != nil {
		return err
	}
	for range b.rounds {
		for _, j := range jobs() {
			got, err := b.load.Measure(ctx, j, b.busy)
			if err != nil {
				return err
			}
			s.Jobs[j.Name] = append(s.Jobs[j.Name], got)
		}
	}
	r.Steps = append(r.Steps, s)
	return nil
}

// attach makes it n idle volumes, and removes what is too many.
func (b *bench) attach(ctx context.Context, n int) error {
	if have := len(b.idle); n <= have {
		gone := b.idle[n:]
		b.idle = b.idle[:n]
		return lab.AtOnce(len(gone), func(i int) error { return b.cluster.Remove(ctx, gone[i].Name) })
	}
	have := len(b.idle)
	more := make([]lab.Disk, n-have)
	err := lab.AtOnce(len(more), func(i int) (err error) {
		more[i], err = b.cluster.Attach(ctx, fmt.Sprintf("idle%d", have+i+1), idleBytes, "h1")
		return err
	})
	b.idle = append(b.idle, more...)
	return err
}

// rest returns how many cores are taken while nobody uses any volume: by the busy volume's engine and the daemons, and
// by the engines of the others.
func (b *bench) rest(ctx context.Context) (own, others float64, err error) {
	began := time.Now()
	ownBefore, othersBefore, err := b.taken()
	if err == nil {
		err = lab.Wait(ctx, watch)
	}
	if err != nil {
		return 0, 0, err
	}
	ownAfter, othersAfter, err := b.taken()
	seconds := time.Since(began).Seconds()
	return (ownAfter - ownBefore) / seconds, (othersAfter - othersBefore) / seconds, err
}

// taken returns the processor seconds so far.
func (b *bench) taken() (own, others float64, err error) {
	for _, pid := range b.busy.PIDs {
		s, err := lab.ProcessorSeconds(pid)
		if err != nil {
			return 0, 0, err
		}
		own += s
	}
	for _, d := range b.idle {
		s, err := lab.ProcessorSeconds(d.Engine)
		if err != nil {
			return 0, 0, fmt.Errorf("engine of %s: %w", d.Name, err)
		}
		others += s
	}
	return own, others, nil
}
