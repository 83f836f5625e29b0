package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/demo"
	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/raft"
)

// The pace of looking, how long anything may take, and how long writes are watched after a fault.
const (
	poll       = 20 * time.Millisecond
	patience   = time.Minute
	stallWatch = 8 * time.Second
	volumeSize = 64 << 20
)

// sample is what one run took, in seconds, by the name of the stage. All but "silent" and the stages of an
// operation count from the fault.
type sample map[string]float64

// bench is the cluster that is measured.
type bench struct {
	program, dir string
	cluster      *devcluster.Cluster
	client       *api.Client
	turn, made   int
}

// guest is the guest of one run.
type guest struct{ name, host, log string }

// raise starts three coordinators that are hosts too, three storage nodes, three hosts that may hold legs.
func raise(ctx context.Context, program, dir string) (*bench, error) {
	var nodes []devcluster.NodeSpec
	for _, kind := range []struct {
		prefix string
		roles  []raft.Role
	}{
		{"c", []raft.Role{raft.RoleCoordinator, raft.RoleHost}}, {"s", []raft.Role{raft.RoleStorage}},
		{"h", []raft.Role{raft.RoleHost, raft.RoleStorage}},
	} {
		for i := range 3 {
			nodes = append(nodes, devcluster.NodeSpec{Name: fmt.Sprintf("%s%d", kind.prefix, i+1), Roles: kind.roles})
		}
	}
	c, err := devcluster.Create(devcluster.Options{Dir: filepath.Join(dir, "c"), Executable: program,
		Network: devcluster.Namespaces}, nodes)
	if err != nil {
		return nil, err
	}
	b := &bench{program: program, dir: dir, cluster: c}
	if err := c.Up(ctx); err != nil {
		return nil, errors.Join(err, c.Down(true))
	}
	if b.client, err = api.NewClient(api.ClientOptions{Endpoints: c.API()}); err != nil {
		return nil, errors.Join(err, c.Down(true))
	}
	return b, nil
}

// settled waits until every node is up and the cluster keeps operations.
func (b *bench) settled(ctx context.Context) error {
	return b.until(ctx, "all nodes", func() (bool, error) {
		nodes, err := b.client.Nodes(ctx)
		for _, n := range nodes {
			if n.State != api.NodeUp {
				return false, err
			}
		}
		return err == nil, err
	})
}

// guest makes a volume and a domain that writes to it. It runs on the victim if that is to be moved.
func (b *bench) guest(ctx context.Context, victim string, s scenario) (guest, error) {
	b.made++
	g := guest{name: fmt.Sprintf("g%d", b.made)}
	g.log = filepath.Join(b.dir, g.name+".log")
	spare := map[string]string{"h1": "h2", "h2": "h3", "h3": "h1"}
	hosts := []string{"h1", "h2"}
	if s.moves {
		hosts = []string{victim, "h1"}
		if to := spare[victim]; to != "" {
			hosts[1] = to
		}
	}
	g.host = hosts[0]
	if _, err := b.client.CreateVolume(ctx, api.CreateVolume{Name: g.name, SizeBytes: volumeSize, Layout: "mirror=2",
		LegsOn: s.legs(victim)}); err != nil {
		return g, err
	}
	if _, err := b.client.DefineDomain(ctx, api.DomainSpec{Name: g.name, Driver: "exec", Hosts: hosts,
		Volumes: []api.DomainVolume{{Name: g.name}},
		Exec: &api.ExecSpec{Command: []string{b.program, "demo", "guest", "--log", g.log,
			"--url", "$HOLDFAST_VOLUME_" + volumeVariable(g.name) + "_URL", "--epoch", "$HOLDFAST_EPOCH"}},
	}); err != nil {
		return g, err
	}
	if _, err := b.client.StartDomain(ctx, g.name, api.Wait{}); err != nil {
		return g, err
	}
	return g, b.until(ctx, "the guest's writes", func() (bool, error) {
		lines, err := readLog(g.log)
		return len(lines) > 20, err
	})
}

func volumeVariable(name string) string { return "G" + name[1:] }

// moved waits until the cluster's operation has ended, and returns its stages and the total.
func (b *bench) moved(ctx context.Context, g guest, struck time.Time) (sample, error) {
	var done api.Operation
	err := b.until(ctx, "the failover", func() (bool, error) {
		all, err := b.client.Operations(ctx)
		for _, o := range all {
			if o.Object == "domain/"+g.name && o.State == api.OperationDone {
				done = o
			}
		}
		return done.ID != "", err
	})
	if err != nil {
		return nil, err
	}
	got, decided := sample{}, done.Failover.StartedAt.Sub(struck).Seconds()
	got["decided"] = decided
	for _, stage := range done.Failover.Stages {
		got[stage.Name] = stage.Seconds
		if stage.Name == raft.StageFirstRead {
			got["fault to first read"] = decided + stage.Seconds
		}
	}
	return got, nil
}

// stalled watches the guest's flushed writes for a while and returns the longest time between two.
func (b *bench) stalled(ctx context.Context, g guest, struck time.Time) (sample, error) {
	watched := time.NewTimer(stallWatch)
	defer watched.Stop()
	select {
	case <-watched.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	lines, err := readLog(g.log)
	if err != nil {
		return nil, err
	}
	last, longest := struck, time.Duration(0)
	for _, l := range lines {
		if l.At.After(struck) {
			longest, last = max(longest, l.At.Sub(last)), l.At
		}
	}
	return sample{"longest stall of writes": max(longest, time.Since(last)).Seconds()}, nil
}

// until looks until something holds. What an API without a leader answers is asked again.
func (b *bench) until(ctx context.Context, what string, cond func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		ok, err := cond()
		if ok && err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waited in vain for %s", what), ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// readLog reads what the guests of one domain reported; there may be no log yet.
func readLog(path string) ([]demo.LogLine, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []demo.LogLine
	for in := bufio.NewScanner(f); in.Scan(); {
		var l demo.LogLine
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			break // a line that is being written
		}
		lines = append(lines, l)
	}
	return lines, nil
}
