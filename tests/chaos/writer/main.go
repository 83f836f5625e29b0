// Command writer is the guest of the chaos test: it uses the export that a URL names and writes down what it did.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/export/nbd"
	"github.com/holdfast-storage/holdfast/tests/chaos"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "writer:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	url := flag.String("url", "", "the export")
	dir := flag.String("dir", "", "where the history goes")
	host := flag.String("host", "", "where it runs, for messages")
	epoch := flag.Uint64("epoch", 0, "of the grant")
	blocks := flag.Int64("blocks", 48, "how many blocks it uses")
	reconnect := flag.Duration("reconnect", 0, "how long it waits for a server that went away")
	readAll := flag.Bool("read-all", false, "read every block once and end")
	pause := flag.Duration("pause", 20*time.Millisecond, "between two operations of a worker, on average")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	address, err := nbd.ParseURL(*url)
	if err != nil {
		return err
	}
	d, err := nbd.Dial(ctx, address, nbd.ClientOptions{Reconnect: *reconnect})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	w := chaos.Writer{Device: d, Dir: *dir, Name: fmt.Sprintf("%s, process %d", *host, os.Getpid()), Epoch: *epoch,
		Blocks: *blocks, Workers: 4, Pause: *pause}
	if *readAll {
		return w.ReadAll(ctx)
	}
	return w.Run(ctx)
}
