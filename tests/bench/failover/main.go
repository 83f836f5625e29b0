package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// inARow is how many faults of a scenario may fail one after another before the rest of it is left out.
const inARow = 3

// options are the command line.
type options struct {
	program, dir, commit, out, only string
	samples, guests                 int
}

func main() {
	var o options
	flag.StringVar(&o.program, "holdfast", "", "the program that is measured (required)")
	flag.IntVar(&o.samples, "samples", 50, "samples of each scenario, at least")
	flag.IntVar(&o.guests, "guests", 5, "guests that each fault meets, each of which is a sample")
	flag.StringVar(&o.only, "only", "", "measure only the scenarios whose name has this")
	flag.StringVar(&o.dir, "dir", "", "an empty directory for the cluster's files (required)")
	flag.StringVar(&o.commit, "commit", "", "of the program, for the record")
	flag.StringVar(&o.out, "out", "", "file that takes the figures as JSON; empty writes none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// measure runs all scenarios and reports what it has, also when some failed or it was interrupted; that is an error
// then.
func measure(ctx context.Context, o options) (err error) {
	if o.program == "" || o.dir == "" || o.samples < 1 || o.guests < 1 {
		return errors.New("-holdfast and -dir are needed, a sample or more, and a guest or more")
	}
	b, err := raise(ctx, o.program, o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.cluster.Down(true)) }()
	results := newReport(o.commit, o.guests)
	for _, s := range scenarios() {
		if strings.Contains(s.name, o.only) {
			b.repeat(ctx, s, o, results)
		}
	}
	results.finish()
	results.print(os.Stdout)
	if o.out != "" {
		err = results.write(o.out)
	}
	if n := results.failures(); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d samples failed; the table counts them", n))
	}
	if ctx.Err() != nil {
		err = errors.Join(err, errors.New("interrupted: the table holds what was measured until then"))
	}
	return err
}

// repeat makes a scenario's fault until there are enough samples or it fails too often in a row.
func (b *bench) repeat(ctx context.Context, s scenario, o options, results *report) {
	failed := 0
	for made := 0; made < o.samples && failed < inARow; {
		guests := min(o.guests, o.samples-made)
		got, err := b.fault(ctx, s, guests)
		if ctx.Err() != nil {
			return
		}
		made += guests
		if err != nil {
			results.fault(s.name)
			results.failed(s.name, guests, err)
			b.say("%s: %d of %d: FAILED: %v", s.name, made, o.samples, err)
			failed++
			continue
		}
		failed = 0
		results.fault(s.name)
		for _, one := range got {
			if one.err != nil {
				results.failed(s.name, 1, one.err)
				b.say("%s: FAILED: %v", s.name, one.err)
				continue
			}
			results.add(s.name, one.sample)
		}
		b.say("%s: %d of %d", s.name, made, o.samples)
	}
}
