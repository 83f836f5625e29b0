package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/holdfast-storage/holdfast/tests/bench/compare"
	"github.com/holdfast-storage/holdfast/tests/bench/lab"
)

// options are the command line.
type options struct {
	program, dir, commit, out string
	steps                     string
	load                      compare.Load
	rounds                    int
}

func main() {
	var o options
	flag.StringVar(&o.program, "holdfast", "", "the program that is measured (required)")
	flag.StringVar(&o.dir, "dir", "", "an empty directory for the cluster's files (required)")
	flag.StringVar(&o.commit, "commit", "", "of the program, for the record")
	flag.StringVar(&o.out, "out", "", "file that takes the figures as JSON; empty writes none")
	flag.StringVar(&o.steps, "idle", "1,10,50,100,200", "how many other volumes are attached, step by step")
	flag.StringVar(&o.load.NBD, "fio", "fio", "the fio, which has the nbd engine")
	flag.IntVar(&o.load.Seconds, "seconds", 3, "length of a run")
	flag.StringVar(&o.load.Size, "size", "200m", "how much of the busy volume is used")
	flag.IntVar(&o.rounds, "rounds", 3, "runs of each job at each step")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// parseSteps reads numbers that rise.
func parseSteps(text string) ([]int, error) {
	var steps []int
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 1 || len(steps) > 0 && n <= steps[len(steps)-1] {
			return nil, fmt.Errorf("-idle %q: want numbers that rise, as in 1,10,50", text)
		}
		steps = append(steps, n)
	}
	return steps, nil
}

func measure(ctx context.Context, o options) (err error) {
	if o.program == "" || o.dir == "" || o.rounds < 1 {
		return errors.New("-holdfast and -dir are needed, and a round or more")
	}
	steps, err := parseSteps(o.steps)
	if err != nil {
		return err
	}
	c, err := lab.Raise(ctx, o.program, filepath.Join(o.dir, "cluster"), lab.Apart())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.TakeDown()) }()
	b := &bench{cluster: c, load: o.load, rounds: o.rounds}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	r := &report{Record: lab.Begin(o.commit), Rounds: o.rounds, Seconds: o.load.Seconds}
	if err := b.climb(ctx, steps, r); err != nil {
		return err
	}
	r.End()
	r.print(os.Stdout)
	if o.out == "" {
		return nil
	}
	return lab.Write(o.out, r)
}

// climb measures without any other volume, at every step, and without any again: what differs between the first and the
// last is the machine's.
func (b *bench) climb(ctx context.Context, steps []int, r *report) error {
	if err := b.step(ctx, 0, r); err != nil {
		return err
	}
	for _, n := range steps {
		if room, err := b.room(n); err != nil {
			return err
		} else if room < n {
			fmt.Fprintf(os.Stderr, "memory is enough for %d other volumes: the steps above are left out\n", room)
			break
		}
		if err := b.step(ctx, n, r); err != nil {
			return err
		}
	}
	return b.step(ctx, 0, r)
}
