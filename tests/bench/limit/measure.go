package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/api"
)

// job is a load under a limit.
type job struct {
	pattern string
	block   int64
	depth   int
	limit   api.Limit
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

func jobs() []job {
	iops := func(n int64) api.Limit { return api.Limit{IOPS: n} }
	bandwidth := func(n int64) api.Limit { return api.Limit{BandwidthBytes: n * mib} }
	both := api.Limit{IOPS: 1000, BandwidthBytes: 10 * mib}
	return []job{
		{"randread", 4 * kib, 32, iops(100)},
		{"randread", 4 * kib, 32, iops(500)},
		{"randwrite", 4 * kib, 32, iops(500)},
		{"randwrite", 4 * kib, 1, iops(500)},
		{"randrw", 4 * kib, 32, iops(500)},
		{"randrw", 4 * kib, 32, iops(5000)},
		{"read", 128 * kib, 8, bandwidth(20)},
		{"write", 128 * kib, 8, bandwidth(20)},
		{"rw", mib, 8, bandwidth(100)},
		{"randrw", 4 * kib, 32, both},
		{"randrw", 64 * kib, 32, both},
		{"randwrite", 4 * kib, 32, api.Limit{}},
		{"randread", 4 * kib, 32, api.Limit{}},
	}
}

// counted is what a load did.
type counted struct {
	requests, bytes, seconds float64
}

// count runs a load and counts it, after a while of it that does not count. Requests are told by their bytes: of those
// that were under way when it began to count, and when it ended, fio counts only these in full.
func (b *bench) count(ctx context.Context, j job, seconds, before int) (counted, error) {
	read, write, err := b.load.Sides(ctx, b.url, j.pattern, strconv.FormatInt(j.block, 10), j.depth, "--time_based",
		"--runtime="+strconv.Itoa(seconds), "--ramp_time="+strconv.Itoa(before))
	bytes := read.Bytes + write.Bytes
	return counted{bytes / float64(j.block), bytes, max(read.Millis, write.Millis) / 1e3}, err
}

const rowFormat = "%-11s %5s %5s   %9s %9s   %9s %9s   %s\n"

// ramp is how long a load runs before it counts: what was saved up is used by then, if it is saved up for a second.
const ramp = 3

// measure prints a line for each job, then what a burst gives and what a change under load.
func (b *bench) measure(ctx context.Context, w io.Writer) error {
	fmt.Fprintf(w, "runs of %d s, after %d s that do not count; %s\n", b.load.Seconds, ramp,
		"load "+loadAverage())
	fmt.Fprintf(w, rowFormat, "load", "block", "depth", "IOPS", "MiB/s", "IOPS", "MiB/s", "measured ÷ asked")
	for _, j := range jobs() {
		if err := b.limit(ctx, j.limit); err != nil {
			return err
		}
		got, err := b.count(ctx, j, b.load.Seconds, ramp)
		if err != nil {
			return err
		}
		iops, bandwidth := got.requests/got.seconds, got.bytes/got.seconds
		fmt.Fprintf(w, rowFormat, j.pattern, fmt.Sprint(j.block/kib, "k"), strconv.Itoa(j.depth),
			or(float64(j.limit.IOPS), 1),
			or(float64(j.limit.BandwidthBytes), mib), fmt.Sprintf("%.1f", iops), fmt.Sprintf("%.2f", bandwidth/mib),
			ratios(j.limit, iops, bandwidth))
	}
	if err := b.burst(ctx, w); err != nil {
		return err
	}
	return b.change(ctx, w)
}

// or prints a figure in a unit, or that there is none.
func or(n, unit float64) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprintf("%.0f", n/unit)
}

// ratios says how much of each part of a limit was used.
func ratios(l api.Limit, iops, bandwidth float64) string {
	text := ""
	if l.IOPS > 0 {
		text += fmt.Sprintf("IOPS %.3f ", iops/float64(l.IOPS))
	}
	if l.BandwidthBytes > 0 {
		text += fmt.Sprintf("MiB/s %.3f", bandwidth/float64(l.BandwidthBytes))
	}
	return text
}

// burst measures a load after a time without any: it gets what was saved up besides what it may have.
func (b *bench) burst(ctx context.Context, w io.Writer) error {
	const rate, saved, length = 500, 5, 4
	if err := b.limit(ctx, api.Limit{IOPS: rate, BurstSeconds: saved}); err != nil {
		return err
	}
	if err := pause(ctx, (saved+1)*time.Second); err != nil {
		return err
	}
	got, err := b.count(ctx, job{pattern: "randread", block: 4 * kib, depth: 32}, length, 0)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nburst of %d s at %d IOPS, after %d s without requests: %.0f requests in %.2f s, asked %.0f\n",
		saved, rate, saved+1, got.requests, got.seconds, rate*(saved+got.seconds))
	return nil
}

// change measures a load whose limit is changed while it runs, second by second.
func (b *bench) change(ctx context.Context, w io.Writer) error {
	const low, high, length = 500, 2000, 8
	if err := b.limit(ctx, api.Limit{IOPS: low, BurstSeconds: 0.1}); err != nil {
		return err
	}
	changed := make(chan error, 1)
	go func() {
		err := pause(ctx, length/2*time.Second)
		if err == nil {
			err = b.limit(ctx, api.Limit{IOPS: high, BurstSeconds: 0.1})
		}
		changed <- err
	}()
	log := filepath.Join(b.dir, "change")
	_, _, err := b.load.Sides(ctx, b.url, "randread", "4k", 32, "--time_based", "--runtime="+strconv.Itoa(length),
		"--write_iops_log="+log, "--log_avg_msec=1000")
	if failed := <-changed; err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	text, err := os.ReadFile(log + "_iops.1.log")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "raised from %d to %d IOPS under load, second by second:", low, high)
	for line := range strings.Lines(string(text)) { // milliseconds, IOPS, …
		fields := strings.Split(line, ",")
		if len(fields) < 2 {
			return fmt.Errorf("fio's log is not understood: %q", line)
		}
		fmt.Fprint(w, fields[1])
	}
	fmt.Fprintln(w)
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// loadAverage returns how busy the machine is, as the kernel says it.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}
