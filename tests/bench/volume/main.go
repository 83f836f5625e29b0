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
)

func main() {
	f, err := compare.ParseFlags("bench", os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil { // which is told
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, f); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// volumeBytes is the size of what is measured, which fits into memory three times.
const volumeBytes = 512 << 20

func measure(ctx context.Context, f compare.Flags) (err error) {
	ours, err := raiseOurs(ctx, f.Program, filepath.Join(f.Dir, "ours"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.down()) }()
	theirs, err := raiseQuorum(ctx, filepath.Join(f.Dir, "quorum"))
	if err != nil {
		return err
	}
	defer theirs.down()
	fmt.Printf("anonymous memory of the idle engine: %.1f MiB\n", ours.anonymous)
	figures, err := compare.Run(ctx, os.Stdout, f.Load, f.Rounds, f.Jobs,
		[]compare.Server{ours.server, theirs.server})
	if f.Out != "" {
		err = errors.Join(err, figures.Write(f.Out, f.Commit))
	}
	return err
}
