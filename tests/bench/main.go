package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

// job is one kind of load.
type job struct {
	name    string
	pattern string // as fio calls it
	block   string
	depth   int
}

func jobs() []job {
	return []job{
		{"4k random read, depth 32", "randread", "4k", 32},
		{"4k random write, depth 32", "randwrite", "4k", 32},
		{"4k random read, depth 1", "randread", "4k", 1},
		{"4k random write, depth 1", "randwrite", "4k", 1},
		{"128k read, depth 8", "read", "128k", 8},
		{"128k write, depth 8", "write", "128k", 8},
	}
}

// server is what is measured.
type server struct {
	name, url string
	pid       int // whose processor time and memory count
}

func parseServer(text string) (server, error) {
	name, rest, ok := strings.Cut(text, "=")
	url, pid, found := strings.Cut(rest, ",")
	n, err := strconv.Atoi(pid)
	if !ok || !found || err != nil {
		return server{}, fmt.Errorf("%q: want NAME=URL,PID", text)
	}
	return server{name, url, n}, nil
}

// measured is one run of a job on one server.
type measured struct {
	iops, p99 float64 // p99 in microseconds
	cpu       float64 // seconds per million requests
	memory    float64 // MiB resident, the most so far
}

func main() {
	fio := flag.String("fio", "fio", "the fio to run; its libiscsi engine must be asynchronous")
	rounds := flag.Int("rounds", 5, "runs of each job on each server")
	seconds := flag.Int("seconds", 3, "length of a run")
	size := flag.String("size", "256m", "how much of each LUN is used")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if err := run(ctx, load{fio: *fio, seconds: *seconds, size: *size}, *rounds, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, l load, rounds int, args []string) error {
	var servers []server
	for _, a := range args {
		s, err := parseServer(a)
		if err != nil {
			return err
		}
		servers = append(servers, s)
	}
	if len(servers) < 2 || rounds < 1 {
		return fmt.Errorf("want two servers or more and a round or more")
	}
	// Every block is there before anything is measured: a hole is cheaper to read.
	for _, s := range servers {
		if err := l.fill(ctx, s); err != nil {
			return err
		}
	}
	fmt.Printf("%d rounds of %d s: medians, and %s ÷ other, round by round: median (least–most)\n", rounds, l.seconds,
		servers[0].name)
	fmt.Printf(rowFormat, "load", "server", "IOPS", "p99 µs", "CPU s/M", "MiB", "IOPS ratio", "p99 ratio", "CPU ratio")
	for _, j := range jobs() {
		got := make([][]measured, len(servers))
		for range rounds {
			for i, s := range servers {
				m, err := l.measure(ctx, j, s)
				if err != nil {
					return err
				}
				got[i] = append(got[i], m)
			}
		}
		report(os.Stdout, j, servers, got)
	}
	return nil
}

// load is how fio is run.
type load struct {
	fio     string
	seconds int
	size    string
}

// allowance is what fio may take beside the run itself.
const allowance = time.Minute
