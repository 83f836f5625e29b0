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

	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/tests/bench/compare"
	"github.com/holdfast-storage/holdfast/tests/bench/lab"
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

// volumeBytes is the size of each volume: all legs of the three fit into memory.
const volumeBytes = 512 << 20

// layouts are what is measured; the others are what the first is compared with.
func layouts() []string { return []string{"parity=4+2", "mirror=2", "mirror=3"} }

func measure(ctx context.Context, f compare.Flags) (err error) {
	c, err := lab.Raise(ctx, f.Program, filepath.Join(f.Dir, "cluster"), devcluster.DefaultNodes(6))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.TakeDown()) }()
	servers, err := attach(ctx, c)
	if err != nil {
		return err
	}
	figures, err := compare.Run(ctx, os.Stdout, f.Load, f.Rounds, f.Jobs, servers)
	if f.Out != "" {
		err = errors.Join(err, figures.Write(f.Out, f.Commit))
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
