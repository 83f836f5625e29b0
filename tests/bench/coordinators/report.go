package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// usage is what one coordinator has used.
type usage struct {
	name string
	lead bool
	cpu  time.Duration
	rss  int64 // bytes
}

func (u usage) role() string {
	if u.lead {
		return "leader " + u.name
	}
	return "follower " + u.name
}

type usages []usage

// usage reads what every coordinator has used so far; one that cannot be read counts as nothing.
func (r *run) usage() usages {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	status, _ := r.w.cluster.Status()
	now, _ := r.w.api.Cluster(ctx)
	var all usages
	for _, s := range status {
		u := usage{name: s.Name, lead: s.Name == now.Leader}
		u.cpu, u.rss = processUse(s.PID)
		all = append(all, u)
	}
	return all
}

// since returns what was used since then.
func (u usages) since(before usages) usages {
	out := slices.Clone(u)
	for i := range out {
		for _, b := range before {
			if b.name == out[i].name && out[i].cpu >= b.cpu {
				out[i].cpu -= b.cpu
			}
		}
	}
	return out
}

func (u usages) leader() string {
	for _, one := range u {
		if one.lead {
			return seconds(one.cpu)
		}
	}
	return "?"
}

// processUse reads a process's processor time and resident memory.
func processUse(pid int) (time.Duration, int64) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, found := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if err != nil || !found || len(fields) < 22 {
		return 0, 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	pages, _ := strconv.ParseInt(fields[21], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
	return time.Duration(user+system) * tick, pages * int64(os.Getpagesize())
}

// files says how large the first coordinator's log and newest snapshot are.
func (r *run) files() string {
	dir := filepath.Join(r.w.cluster.Dir(), "c1", "data", "raft")
	log := int64(0)
	if info, err := os.Stat(filepath.Join(dir, "raft.db")); err == nil {
		log = info.Size()
	}
	snapshot, text := int64(0), "no snapshot"
	for _, path := range r.snapshots("c1") {
		if info, err := os.Stat(path); err == nil && info.Size() > snapshot {
			snapshot = info.Size()
			text = fmt.Sprintf("snapshot %.1f MiB", mebi(snapshot))
		}
	}
	return fmt.Sprintf("log file %.1f MiB, %s", mebi(log), text)
}

// snapshots returns the snapshots that a coordinator has.
func (r *run) snapshots(node string) []string {
	found, _ := filepath.Glob(filepath.Join(r.w.cluster.Dir(), node, "data", "raft", "snapshots", "*", "state.bin"))
	return found // the pattern is a good one
}

// withSnapshot returns how many coordinators have a snapshot.
func (r *run) withSnapshot() int {
	n := 0
	for _, node := range r.w.cluster.Nodes() {
		if len(r.snapshots(node.Name)) > 0 {
			n++
		}
	}
	return n
}

// startedFrom says what coordinators start from of whom so many have a snapshot.
func startedFrom(snapshots, all int) string {
	switch snapshots {
	case 0:
		return "start from the log"
	case all:
		return "start from a snapshot"
	}
	return fmt.Sprintf("start, %d of %d from a snapshot", snapshots, all)
}

// report prints what was gathered on the way.
func (r *run) report() {
	for _, kind := range slices.Sorted(maps.Keys(r.w.sizes.seen)) {
		z := r.w.sizes.seen[kind]
		say("size of: "+kind, "mean %d, most %d bytes; %d sent", z.sum/max(1, z.n), z.most, z.n)
	}
	for _, kind := range slices.Sorted(maps.Keys(r.w.refusals)) {
		say("refused", "%s, %d times", kind, r.w.refusals[kind])
	}
}

func say(what, format string, args ...any) {
	fmt.Printf("  %-32s %s\n", what, fmt.Sprintf(format, args...))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func mebi(n int64) float64 { return float64(n) / (1 << 20) }

// quantile returns the value below which a part of all values lies.
func quantile(values []time.Duration, part float64) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}
