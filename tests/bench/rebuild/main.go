package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/holdfast-storage/holdfast/tests/bench/compare"
	"github.com/holdfast-storage/holdfast/tests/bench/lab"
)

// options are the command line.
type options struct {
	program, dir, commit, out string
	fio                       string
	rounds, mib               int
}

func main() {
	var o options
	flag.StringVar(&o.program, "holdfast", "", "the program that is measured (required)")
	flag.StringVar(&o.dir, "dir", "", "an empty directory for all files (required)")
	flag.StringVar(&o.commit, "commit", "", "of the program, for the record")
	flag.StringVar(&o.out, "out", "", "file that takes the figures as JSON; empty writes none")
	flag.StringVar(&o.fio, "fio", "fio", "the fio, which has the nbd engine")
	flag.IntVar(&o.rounds, "rounds", 3, "rebuilds of each kind")
	flag.IntVar(&o.mib, "mib", 512, "size of the volume")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// The cluster's nodes as lab.Apart has them: the engine's, the storage node that keeps its leg, and the one that loses
// it.
const (
	hostNode = "h1"
	keptNode = "s1"
	lostNode = "s2"
)

const (
	// leastMiB is one above what the load beside a return writes to.
	leastMiB = 128
	// besideRun is how long fio runs at a time beside a rebuild, in seconds: short, so that some runs lie within.
	besideRun = 1
)

func measure(ctx context.Context, o options) (err error) {
	if o.program == "" || o.dir == "" || o.rounds < 1 || o.mib < leastMiB {
		return fmt.Errorf("-holdfast and -dir are needed, a round or more, and a volume of %d MiB or more", leastMiB)
	}
	b := &bench{sizeBytes: int64(o.mib) << 20, load: compare.Load{NBD: o.fio, Seconds: besideRun}}
	if b.plain, err = startPlain(o.program, filepath.Join(o.dir, "plain"), b.sizeBytes); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.plain.end()) }()
	if b.cluster, err = lab.Raise(ctx, o.program, filepath.Join(o.dir, "cluster"), lab.Apart()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.cluster.TakeDown()) }()
	r := &report{Record: lab.Begin(o.commit), SizeBytes: b.sizeBytes}
	r.printHead(os.Stdout)
	err = b.all(ctx, o.rounds, r)
	r.End()
	if o.out != "" && err == nil {
		err = lab.Write(o.out, r)
	}
	return err
}

// all measures every kind and adds what it has to the report.
func (b *bench) all(ctx context.Context, rounds int, r *report) error {
	for _, c := range contents() {
		if err := b.fill(ctx, c); err != nil {
			return err
		}
		for range rounds {
			got, err := b.rebuild(ctx)
			if err != nil {
				return fmt.Errorf("volume %s: %w", c.name, err)
			}
			r.addRebuild(c.name, got)
		}
		r.printRebuild(os.Stdout, c.name)
		if c.underLoad {
			if err := b.underLoad(ctx, rounds, c, r); err != nil {
				return fmt.Errorf("volume %s, under load: %w", c.name, err)
			}
		}
		if err := b.cluster.Remove(ctx, b.disk.Name); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) underLoad(ctx context.Context, rounds int, c content, r *report) error {
	for range rounds {
		got, err := b.rebuildBesideGuest(ctx)
		if err != nil {
			return err
		}
		r.addRebuild(c.name+loaded, got)
	}
	r.printRebuild(os.Stdout, c.name+loaded)
	for range rounds {
		got, err := b.comeBack(ctx)
		if err != nil {
			return err
		}
		r.Returns = append(r.Returns, got)
	}
	r.printReturns(os.Stdout)
	return nil
}
