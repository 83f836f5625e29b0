package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/holdfast-storage/holdfast/tests/bench/compare"
)

// options are the command line.
type options struct {
	program, dir, commit, out string
	load                      compare.Load
	rounds                    int
	only                      string
}

func main() {
	var o options
	flag.StringVar(&o.program, "holdfast", "", "the program that is measured (required)")
	flag.StringVar(&o.dir, "dir", "", "an empty directory for everybody's files (required)")
	flag.StringVar(&o.commit, "commit", "", "of the program, for the record")
	flag.StringVar(&o.out, "out", "", "file that takes the figures as JSON; empty writes none")
	flag.StringVar(&o.load.NBD, "fio", "fio", "the fio, which has the nbd engine")
	flag.IntVar(&o.load.Seconds, "seconds", 3, "length of a run")
	flag.StringVar(&o.load.Size, "size", "200m", "how much of each volume is used")
	flag.IntVar(&o.rounds, "rounds", 3, "runs of each job on each")
	flag.StringVar(&o.only, "only", "", "measure only the jobs whose name has this")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// volumeBytes is the size of what is measured, which fits into memory three times.
const volumeBytes = 512 << 20

func measure(ctx context.Context, o options) (err error) {
	if o.program == "" || o.dir == "" {
		return errors.New("-holdfast and -dir are needed")
	}
	jobs, err := selected(o.only)
	if err != nil {
		return err
	}
	ours, err := raiseOurs(ctx, o.program, filepath.Join(o.dir, "ours"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.down()) }()
	theirs, err := raiseQuorum(ctx, filepath.Join(o.dir, "quorum"))
	if err != nil {
		return err
	}
	defer theirs.down()
	fmt.Printf("anonymous memory of the idle engine: %.1f MiB\n", ours.anonymous)
	figures, err := compare.Run(ctx, os.Stdout, o.load, o.rounds, jobs,
		[]compare.Server{ours.server, theirs.server})
	if o.out != "" {
		err = errors.Join(err, figures.Write(o.out, o.commit))
	}
	return err
}

// selected returns the jobs whose name has a text.
func selected(text string) ([]compare.Job, error) {
	var jobs []compare.Job
	for _, j := range compare.Jobs() {
		if strings.Contains(j.Name, text) {
			jobs = append(jobs, j)
		}
	}
	if len(jobs) == 0 {
		return nil, fmt.Errorf("-only %q: no job has that in its name", text)
	}
	return jobs, nil
}
