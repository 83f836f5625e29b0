package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/holdfast-storage/holdfast/tests/bench/compare"
)

func main() {
	var l compare.Load
	flag.StringVar(&l.ISCSI, "fio", "fio", "the fio for iscsi URLs; its libiscsi engine must be asynchronous")
	flag.StringVar(&l.NBD, "nbdfio", "fio", "the fio for NBD URLs")
	flag.IntVar(&l.Seconds, "seconds", 3, "length of a run")
	flag.StringVar(&l.Size, "size", "256m", "how much of each LUN is used")
	rounds := flag.Int("rounds", 5, "runs of each job on each server")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, l, *rounds, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, l compare.Load, rounds int, args []string) error {
	var servers []compare.Server
	for _, a := range args {
		s, err := compare.ParseServer(a)
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	_, err := compare.Run(ctx, os.Stdout, l, rounds, compare.Jobs(), servers)
	return err
}
