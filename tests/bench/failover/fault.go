package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/api"
)

// outcome is what one guest had of a fault: a sample, or an error.
type outcome struct {
	sample sample
	err    error
}

// fault makes guests, strikes once, and measures each guest by itself. The victim is on its way back when it returns,
// and the guests are gone. An error is one that no guest was measured with.
func (b *bench) fault(ctx context.Context, s scenario, guests int) ([]outcome, error) {
	if err := b.settled(ctx); err != nil {
		return nil, err
	}
	victim, err := s.victim(b, ctx)
	if err != nil {
		return nil, err
	}
	hosts := b.hosts(victim, s)
	if err := b.settled(ctx, append(hosts, victim)...); err != nil {
		return nil, err
	}
	made := make([]guest, guests)
	failed := make([]error, guests)
	for i := range made {
		b.made++
		made[i].name = fmt.Sprintf("g%d", b.made)
	}
	defer b.clear(context.WithoutCancel(ctx), made)
	each(guests, func(i int) { made[i], failed[i] = b.guest(ctx, made[i].name, victim, hosts, s) })
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	struck := time.Now()
	if err := s.strike(b, victim); err != nil {
		return nil, errors.Join(err, s.mend(b, victim))
	}
	got := make([]outcome, guests)
	each(guests, func(i int) {
		measure := b.stalled
		if s.moves {
			measure = b.moved
		}
		got[i].sample, got[i].err = measure(ctx, made[i], struck)
	})
	return got, errors.Join(lastUntil(ctx, struck.Add(s.lasts)), s.mend(b, victim))
}

// lastUntil lets a fault last.
func lastUntil(ctx context.Context, end time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	<-ctx.Done()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil
	}
	return ctx.Err()
}

// clear takes the guests and their volumes away, as far as that is possible at once: the cluster that the next fault
// meets is as large as it was for this one.
func (b *bench) clear(ctx context.Context, made []guest) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	each(len(made), func(i int) {
		_, err := b.client.StopDomain(ctx, made[i].name, api.Wait{})
		if err == nil {
			err = b.client.DeleteDomain(ctx, made[i].name)
		}
		if err == nil {
			err = b.client.DeleteVolume(ctx, made[i].name, api.Wait{NoWait: true})
		}
		if err != nil {
			b.say("%s is left: %v", made[i].name, err)
		}
	})
}

// each calls do for all below n at once and waits for them.
func each(n int, do func(int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}
