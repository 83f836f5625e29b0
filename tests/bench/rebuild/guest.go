package main

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/tests/bench/compare"
	"github.com/holdfast-storage/holdfast/tests/bench/lab"
)

// guestJob is what the guest does beside a rebuild, and returnSize how much of the volume it uses beside a return.
func guestJob() compare.Job {
	return compare.Job{Name: "4k random write, depth 4", Pattern: "randwrite", Block: "4k", Depth: 4}
}

// Before the leg goes away the guest writes to that part for a while, so that what it wrote to before is known to be on
// both legs.
const (
	returnMiB = 64
	settle    = 15 * time.Second
	away      = 5 * time.Second
)

// loaded is put behind the name of a content that was rebuilt beside a guest.
const loaded = ", beside " + "4k random writes, depth 4"

// guestRun is one run of the guest.
type guestRun struct {
	began, ended time.Time
	got          compare.Measured
}

// rebuildBesideGuest loses the leg while a guest writes at its best.
func (b *bench) rebuildBesideGuest(ctx context.Context) (rebuilt, error) {
	b.load.Size = fmt.Sprint(b.sizeBytes)
	alone, err := b.load.Measure(ctx, guestJob(), b.guest())
	if err != nil {
		return rebuilt{}, err
	}
	var got rebuilt
	var j joined
	runs, err := b.beside(ctx, func() (err error) {
		got, j, err = b.replaceLeg(ctx)
		return err
	})
	if err != nil {
		return rebuilt{}, err
	}
	got.Guest = &guestFigures{IOPSAlone: alone.IOPS, P99Alone: alone.P99}
	got.Guest.IOPS, got.Guest.P99, got.Guest.Runs = during(runs, j.copying, j.copied)
	return got, nil
}

func (b *bench) guest() compare.Server { return compare.Server{Name: "guest", URL: b.disk.URL} }

// beside runs the guest over and over until something is done.
func (b *bench) beside(ctx context.Context, do func() error) ([]guestRun, error) {
	done := make(chan error, 1)
	go func() { done <- do() }()
	var runs []guestRun
	for {
		began := time.Now()
		got, err := b.load.Measure(ctx, guestJob(), b.guest())
		if err != nil {
			<-done
			return nil, err
		}
		runs = append(runs, guestRun{began: began, ended: time.Now(), got: got})
		select {
		case err := <-done:
			return runs, err
		default:
		}
	}
}

// during returns the medians of the runs that lie between two times, or, if none does, of those that overlap; and how
// many these are.
func during(runs []guestRun, from, to time.Time) (iops, p99 float64, n int) {
	var all, within []guestRun
	for _, r := range runs {
		if r.began.Before(to) && r.ended.After(from) {
			all = append(all, r)
			if r.began.After(from) && r.ended.Before(to) {
				within = append(within, r)
			}
		}
	}
	if len(within) > 0 {
		all = within
	}
	if len(all) == 0 {
		return 0, 0, 0
	}
	var rates, slowest []float64
	for _, r := range all {
		rates, slowest = append(rates, r.got.IOPS), append(slowest, r.got.P99)
	}
	return compare.Median(rates), compare.Median(slowest), len(all)
}

// comeBack lets the leg's node lose its power for a while, with its disk kept, while a guest writes to a part of the
// volume.
func (b *bench) comeBack(ctx context.Context) (returned, error) {
	b.load.Size = fmt.Sprintf("%dm", returnMiB)
	var got returned
	_, err := b.beside(ctx, func() error {
		leg, err := b.legOn(ctx, lostNode)
		if err != nil {
			return err
		}
		if err := lab.Wait(ctx, settle); err != nil {
			return err
		}
		if err := b.cluster.Kill(lostNode); err != nil {
			return err
		}
		if err := lab.Wait(ctx, away); err != nil {
			return err
		}
		began := time.Now()
		if err := b.cluster.Start(ctx, lostNode); err != nil {
			return err
		}
		_, j, err := b.await(ctx, began, func(l api.Leg) bool { return l.ID == leg.ID })
		if err != nil {
			return err
		}
		got = returned{AwaySeconds: away.Seconds(), WrittenToBytes: returnMiB << 20, ComparedBytes: j.bytes,
			CopySeconds: j.copied.Sub(j.copying).Seconds(), AllSeconds: j.inSync.Sub(began).Seconds()}
		return nil
	})
	return got, err
}
