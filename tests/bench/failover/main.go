package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	program := flag.String("holdfast", "", "the program that is measured (required)")
	runs := flag.Int("runs", 50, "runs of each scenario")
	dir := flag.String("dir", "", "an empty directory for the cluster's files (required)")
	commit := flag.String("commit", "", "of the program, for the record")
	out := flag.String("out", "", "file that takes the figures as JSON; empty writes none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, *program, *dir, *commit, *out, *runs); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// measure runs all scenarios. Interrupted, it reports what it has.
func measure(ctx context.Context, program, dir, commit, out string, runs int) (err error) {
	if program == "" || dir == "" || runs < 1 {
		return errors.New("-holdfast and -dir are needed, and a run or more")
	}
	b, err := raise(ctx, program, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.cluster.Down(true)) }()
	results := newReport(commit, runs)
	for _, s := range scenarios() {
		for i := range runs {
			if ctx.Err() != nil {
				break
			}
			sample, err := b.run(ctx, s)
			if err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s, run %d: %w", s.name, i+1, err)
			}
			if err == nil {
				results.add(s.name, sample)
				fmt.Fprintf(os.Stderr, "%s: %d of %d: %v\n", s.name, i+1, runs, sample)
			}
		}
	}
	results.print(os.Stdout)
	if out == "" {
		return nil
	}
	return results.write(out)
}
