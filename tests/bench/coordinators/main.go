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
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/pause"
	"github.com/holdfast-storage/holdfast/raft"
)

func main() {
	program := flag.String("holdfast", "", "the program whose coordinators are measured (required)")
	volumes := flag.Int("volumes", 1000, "volumes, each with a domain of its own")
	nodes := flag.Int("nodes", 50, "simulated nodes, half of them hosts and half storage nodes")
	full := flag.Int("full", 100, "volumes on the host that fails")
	quiet := flag.Duration("quiet", 30*time.Second, "how long the idle cluster is watched")
	dir := flag.String("dir", "", "where the cluster's files go (default a temporary directory)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := run{volumes: *volumes, nodes: *nodes, full: min(*full, *volumes), quiet: *quiet}
	if err := r.all(ctx, *dir, *program); err != nil {
		fmt.Fprintln(os.Stderr, "coordinators:", err)
		stop()
		os.Exit(1)
	}
}

// run is one run of the measurement.
type run struct {
	volumes, nodes, full int
	quiet                time.Duration
	w                    *world
}

func (r *run) all(ctx context.Context, dir, program string) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "holdfast-bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if r.w, err = newWorld(ctx, filepath.Join(dir, "c"), program); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.w.close()) }()
	fmt.Printf("%d volumes of mirror=2, %d nodes (%d hosts), 3 coordinators\n", r.volumes, r.nodes, (r.nodes+1)/2)
	for _, step := range []func(context.Context) error{
		r.join, r.create, r.restart, r.attach, r.idle, r.failover, r.restartLater,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	r.report()
	return nil
}

func (r *run) join(ctx context.Context) error {
	began := time.Now()
	if err := r.w.addMachines(ctx, r.nodes); err != nil {
		return err
	}
	say("nodes joined", "%s", seconds(time.Since(began)))
	return nil
}

// create makes the volumes, sixteen callers at a time, each waiting until its volume is there.
func (r *run) create(ctx context.Context) error {
	before := r.usage()
	began := time.Now()
	times := make([]time.Duration, r.volumes)
	if err := each(ctx, r.volumes, 16, func(i int) error {
		start := time.Now()
		_, err := r.w.api.CreateVolume(ctx, api.CreateVolume{Name: volumeName(i), SizeBytes: 10 << 30,
			Layout: "mirror=2"})
		times[i] = time.Since(start)
		return err
	}); err != nil {
		return err
	}
	say("volumes created", "%s, each %s (99 %%: %s); leader %s of processor", seconds(time.Since(began)),
		seconds(quantile(times, 0.5)), seconds(quantile(times, 0.99)), r.usage().since(before).leader())
	return nil
}

// attach starts a domain on each volume: the first of them all on one host.
func (r *run) attach(ctx context.Context) error {
	before := r.usage()
	began := time.Now()
	hosts := (r.nodes + 1) / 2
	if err := each(ctx, r.volumes, 16, func(i int) error {
		first, second := i%(hosts-1)+1, (i+1)%(hosts-1)+1
		wanted := []string{hostName(first), hostName(second)}
		if i < r.full {
			wanted = []string{hostName(0), hostName(first)}
		}
		_, err := r.w.api.DefineDomain(ctx, api.DomainSpec{Name: volumeName(i), Driver: "exec", Hosts: wanted,
			Exec:    &api.ExecSpec{Command: []string{"/bin/true"}},
			Volumes: []api.DomainVolume{{Name: volumeName(i)}}})
		// Where the machine is too small for all that is played on it a host may seem to be silent.
		for err == nil && ctx.Err() == nil {
			if _, err = r.w.api.StartDomain(ctx, volumeName(i), api.Wait{NoWait: true}); err == nil {
				return nil
			}
			r.w.refused("start_domain", &raft.Refusal{Code: "no_host"})
			pause.For(ctx, time.Second)
			err = nil
		}
		return err
	}); err != nil {
		return err
	}
	if err := r.w.await(ctx, "all volumes serve", func() (bool, error) {
		r.w.mu.Lock()
		defer r.w.mu.Unlock()
		return len(r.w.serves) == r.volumes, nil
	}); err != nil {
		return err
	}
	say("domains started", "%s until all volumes serve; leader %s of processor", seconds(time.Since(began)),
		r.usage().since(before).leader())
	return nil
}

// idle watches what the cluster costs while nothing happens.
func (r *run) idle(ctx context.Context) error {
	pause.For(ctx, 3*time.Second) // what was asked for is done, and logs are written
	before := r.usage()
	pause.For(ctx, r.quiet)
	for _, u := range r.usage().since(before) {
		say("idle "+u.role(), "%.1f s of processor a minute (%.1f %% of a core), %d MiB resident",
			u.cpu.Seconds()*60/r.quiet.Seconds(), 100*u.cpu.Seconds()/r.quiet.Seconds(), u.rss>>20)
	}
	return ctx.Err()
}

// failover ends the first host and measures, from its last heartbeat on, when each volume serves elsewhere.
func (r *run) failover(ctx context.Context) error {
	before := r.usage()
	old := make([]serving, r.full)
	for i := range old {
		old[i] = r.w.serving(volumeName(i))
	}
	last := r.w.machines[0].kill()
	if err := r.w.await(ctx, "all volumes of the host serve elsewhere", func() (bool, error) {
		for i := range old {
			if r.w.serving(volumeName(i)).epoch == old[i].epoch {
				return false, nil
			}
		}
		return true, nil
	}); err != nil {
		return err
	}
	times := make([]time.Duration, r.full)
	for i := range times {
		times[i] = r.w.serving(volumeName(i)).at.Sub(last)
	}
	say(fmt.Sprintf("failover of %d volumes", r.full), "since the host's last heartbeat: first %s, half %s, 99 %% %s, "+
		"last %s; leader %s of processor", seconds(slices.Min(times)), seconds(quantile(times, 0.5)),
		seconds(quantile(times, 0.99)), seconds(slices.Max(times)), r.usage().since(before).leader())
	return nil
}

// restartLater gives the coordinators the time for a snapshot first, which they make if enough was written since the
// last one.
func (r *run) restartLater(ctx context.Context) error {
	pause.For(ctx, 12*time.Second) // raft looks every ten seconds whether a snapshot is due
	return r.restart(ctx)
}

// restart ends all coordinators at once and starts them again.
func (r *run) restart(ctx context.Context) error {
	files := r.files()
	for _, n := range r.w.cluster.Nodes() {
		if err := r.w.cluster.Kill(n.Name); err != nil {
			return err
		}
	}
	what := startedFrom(r.withSnapshot(), len(r.w.cluster.Nodes()))
	began := time.Now()
	for _, n := range r.w.cluster.Nodes() {
		if err := r.w.cluster.Launch(n.Name); err != nil {
			return err
		}
	}
	if err := r.w.await(ctx, "a coordinator leads", func() (bool, error) {
		c, err := r.w.api.Cluster(ctx)
		return c.Leader != "" && c.Volumes == r.volumes, err
	}); err != nil {
		return err
	}
	say(what, "%s until a leader answers for all volumes; %s", seconds(time.Since(began)), files)
	return nil
}

func volumeName(i int) string { return fmt.Sprintf("v%04d", i+1) }

// each calls do for 0 to n-1, so many at a time, and returns what went wrong first.
func each(ctx context.Context, n, width int, do func(int) error) error {
	var work sync.WaitGroup
	next := make(chan int)
	failed := make(chan error, width)
	for range width {
		work.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	var err error
	for i := 0; i < n && err == nil; i++ {
		select {
		case next <- i:
		case err = <-failed:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	close(next)
	work.Wait()
	select {
	case late := <-failed:
		err = errors.Join(err, late)
	default:
	}
	return err
}
