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

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/tests/bench/compare"
)

func main() {
	var program string
	b := bench{load: compare.Load{Size: "200m"}}
	flag.StringVar(&program, "holdfast", "", "the program that is measured (required)")
	flag.StringVar(&b.dir, "dir", "", "an empty directory (required)")
	flag.StringVar(&b.load.NBD, "fio", "fio", "the fio, which has the nbd engine")
	flag.IntVar(&b.load.Seconds, "seconds", 5, "length of a run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx, program); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

const (
	volumeName  = "limited"
	volumeBytes = 256 << 20
	patience    = time.Minute // for the cluster to be there, or to be gone
)

// bench is a volume under measurement.
type bench struct {
	dir    string
	load   compare.Load
	client *api.Client
	url    string
}

// run raises a cluster of three nodes, measures, and takes the cluster down again.
func (b *bench) run(ctx context.Context, program string) (err error) {
	if program == "" || b.dir == "" {
		return errors.New("-holdfast and -dir are needed")
	}
	c, err := devcluster.Create(devcluster.Options{Dir: filepath.Join(b.dir, "cluster"), Executable: program},
		devcluster.DefaultNodes(3))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Down(true)) }()
	if err := b.raise(ctx, c); err != nil {
		return err
	}
	defer b.client.Close()
	if _, _, err := b.load.Sides(ctx, b.url, "write", "1m", 8); err != nil { // a hole is cheaper to read
		return err
	}
	return b.measure(ctx, os.Stdout)
}

func (b *bench) raise(ctx context.Context, c *devcluster.Cluster) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.Up(ctx); err != nil {
		return err
	}
	if b.client, err = api.NewClient(api.ClientOptions{Endpoints: c.API()}); err != nil {
		return err
	}
	_, err = b.client.CreateVolume(ctx, api.CreateVolume{Name: volumeName, SizeBytes: volumeBytes, Layout: "mirror=2"})
	if err != nil {
		return err
	}
	attached, err := b.client.AttachVolume(ctx, volumeName, api.AttachVolume{Host: "n3"})
	if err != nil {
		return err
	}
	b.url = attached.Exports[0].URL
	return nil
}

// limit sets the whole limit.
func (b *bench) limit(ctx context.Context, l api.Limit) error {
	_, err := b.client.SetVolume(ctx, volumeName, api.SetVolume{
		Limit: &api.SetLimit{IOPS: &l.IOPS, BandwidthBytes: &l.BandwidthBytes, BurstSeconds: &l.BurstSeconds}})
	return err
}
