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
	"time"

	"github.com/holdfast-storage/holdfast/tests/bench/lab"
)

// options are the command line.
type options struct {
	program, dir, commit, out string
	volumes, seconds          int
}

// settle is how long the volumes are left alone before they are looked at: what an attach left behind is cleared away.
const settle = 15 * time.Second

// volumeBytes is the size of each volume.
const volumeBytes = 64 << 20

func main() {
	var o options
	flag.StringVar(&o.program, "holdfast", "", "the program that is measured (required)")
	flag.StringVar(&o.dir, "dir", "", "an empty directory for the cluster's files (required)")
	flag.StringVar(&o.commit, "commit", "", "of the program, for the record")
	flag.StringVar(&o.out, "out", "", "file that takes the figures as JSON; empty writes none")
	flag.IntVar(&o.volumes, "volumes", 20, "attached volumes")
	flag.IntVar(&o.seconds, "seconds", 60, "for how long they are watched")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := measure(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, o options) (err error) {
	if o.program == "" || o.dir == "" || o.volumes < 1 || o.seconds < 1 {
		return errors.New("-holdfast and -dir are needed, a volume or more, and a second or more")
	}
	c, err := lab.Raise(ctx, o.program, filepath.Join(o.dir, "cluster"), lab.Apart())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.TakeDown()) }()
	r := &report{Record: lab.Begin(o.commit), Volumes: o.volumes, SizeBytes: volumeBytes, Seconds: o.seconds}
	empty, err := daemons(c)
	if err != nil {
		return err
	}
	if err := watch(ctx, empty, time.Duration(o.seconds)*time.Second/4, &r.DaemonsAlone); err != nil {
		return err
	}
	engines := make([]subject, o.volumes)
	if err := lab.AtOnce(o.volumes, func(i int) error {
		name := fmt.Sprintf("v%d", i+1)
		d, err := c.Attach(ctx, name, volumeBytes, "h1")
		engines[i] = subject{name: name, pid: d.Engine}
		return err
	}); err != nil {
		return err
	}
	if err := lab.Wait(ctx, settle); err != nil {
		return err
	}
	all := append(append([]subject{}, engines...), empty...)
	var got []taken
	if err := watch(ctx, all, time.Duration(o.seconds)*time.Second, &got); err != nil {
		return err
	}
	r.Engines, r.Daemons = got[:len(engines)], got[len(engines):]
	r.End()
	r.print(os.Stdout)
	if o.out == "" {
		return nil
	}
	return lab.Write(o.out, r)
}

// daemons returns the daemons of all nodes, in the order of the nodes.
func daemons(c *lab.Cluster) ([]subject, error) {
	pids, err := c.Daemons()
	if err != nil {
		return nil, err
	}
	var all []subject
	for _, n := range c.Nodes() {
		all = append(all, subject{name: n.Name, pid: pids[n.Name]})
	}
	return all, nil
}
