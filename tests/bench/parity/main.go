package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/tests/bench/compare"
	"github.com/holdfast-storage/holdfast/tests/bench/lab"
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

// volumeBytes is the size of each volume: all legs of the three fit into memory.
const volumeBytes = 512 << 20

// layouts are what is measured; the others are what the first is compared with.
func layouts() []string { return []string{"parity=4+2", "mirror=2", "mirror=3"} }

func measure(ctx context.Context, o options) (err error) {
	if o.program == "" || o.dir == "" {
		return errors.New("-holdfast and -dir are needed")
	}
	jobs := slices.DeleteFunc(compare.Jobs(), func(j compare.Job) bool { return !strings.Contains(j.Name, o.only) })
	if len(jobs) == 0 {
		return fmt.Errorf("-only %q: no job has that in its name", o.only)
	}
	c, err := lab.Raise(ctx, o.program, filepath.Join(o.dir, "cluster"), devcluster.DefaultNodes(6))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.TakeDown()) }()
	servers, err := attach(ctx, c)
	if err != nil {
		return err
	}
	figures, err := compare.Run(ctx, os.Stdout, o.load, o.rounds, jobs, servers)
	if o.out != "" {
		err = errors.Join(err, figures.Write(o.out, o.commit))
	}
	return err
}

// attach makes a volume of each layout. Of the processes its own engine counts, and all daemons, which serve the legs
// of all three: what they take while the others rest is little.
func attach(ctx context.Context, c *lab.Cluster) ([]compare.Server, error) {
	var servers []compare.Server
	for i, layout := range layouts() {
		disk, err := c.AttachLayout(ctx, fmt.Sprintf("v%d", i), layout, volumeBytes, "n6")
		if err != nil {
			return nil, err
		}
		servers = append(servers, compare.Server{Name: layout, URL: disk.URL, PIDs: []int{disk.Engine}})
	}
	daemons, err := c.Daemons()
	if err != nil {
		return nil, err
	}
	for i := range servers {
		for _, pid := range daemons {
			servers[i].PIDs = append(servers[i].PIDs, pid)
		}
	}
	return servers, nil
}
