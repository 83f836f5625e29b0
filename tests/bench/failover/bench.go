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
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/demo"
	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/raft"
)

// The pace of looking, and how long anything may take. Writes are watched for stallWatch after a fault at least,
// which is longer than it takes until a silent node is given up, and then until they go on: the last one is younger
// than flowing.
const (
	poll       = 20 * time.Millisecond
	patience   = 40 * time.Second
	stallWatch = 5 * time.Second
	flowing    = 300 * time.Millisecond
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
	turn, made   int // hosts struck and guests made so far
}

// say writes a line of progress.
func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// guest is the guest of one run.
type guest struct{ name, log string }

// raise starts three coordinators that are all else too, three storage nodes, three hosts that may hold legs.
func raise(ctx context.Context, program, dir string) (*bench, error) {
	var nodes []devcluster.NodeSpec
	for _, kind := range []struct {
		prefix string
		roles  []raft.Role
	}{
		{"c", []raft.Role{raft.RoleCoordinator, raft.RoleHost, raft.RoleStorage}}, {"s", []raft.Role{raft.RoleStorage}},
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

// settled waits until all coordinators and these nodes are up. Others may still be on their way back.
func (b *bench) settled(ctx context.Context, needed ...string) error {
	needed = append(needed, "c1", "c2", "c3", "s1", "s2")
	return b.until(ctx, "the nodes "+strings.Join(needed, ", "), func() (bool, error) {
		nodes, err := b.client.Nodes(ctx)
		up := 0
		for _, n := range nodes {
			if n.State == api.NodeUp && slices.Contains(needed, n.Name) {
				up++
			}
		}
		slices.Sort(needed)
		return up == len(slices.Compact(slices.Clone(needed))), err
	})
}

// hosts returns where a guest runs and where it may go. The host that was struck last is neither.
func (b *bench) hosts(victim string, s scenario) []string {
	after := map[string]string{"h1": "h2", "h2": "h3", "h3": "h1"}
	last := []string{"h1", "h2", "h3"}[b.turn%3]
	if s.moves && after[victim] != "" {
		return []string{victim, after[victim]}
	}
	if s.moves {
		return []string{victim, after[last]}
	}
	return []string{after[last], after[after[last]]}
}

// guest makes a volume and a domain that writes to it. It runs on the first host.
func (b *bench) guest(ctx context.Context, name, victim string, hosts []string, s scenario) (guest, error) {
	g := guest{name: name, log: filepath.Join(b.dir, name+".log")}
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
	err := b.until(ctx, "the failover of "+g.name, func() (bool, error) {
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

// stalled watches the guest's flushed writes until they go on, and returns the longest time between two.
func (b *bench) stalled(ctx context.Context, g guest, struck time.Time) (sample, error) {
	var longest time.Duration
	err := b.until(ctx, "the writes of "+g.name+" to go on", func() (bool, error) {
		if time.Since(struck) < stallWatch {
			return false, nil
		}
		lines, err := readLog(g.log)
		last := struck
		longest = 0
		for _, l := range lines {
			if l.At.After(struck) {
				longest, last = max(longest, l.At.Sub(last)), l.At
			}
		}
		return last.After(struck) && time.Since(last) < flowing, err
	})
	if err != nil {
		return nil, err
	}
	return sample{"longest stall of writes": longest.Seconds()}, nil
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
