package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// result is what counts of fio's JSON.
type result struct {
	Jobs []struct {
		Error    int  `json:"error"`
		RawRead  side `json:"read"`
		RawWrite side `json:"write"`
	} `json:"jobs"`
}

type side struct {
	IOs     float64 `json:"total_ios"`
	IOPS    float64 `json:"iops"`
	Latency struct {
		Percentile map[string]float64 `json:"percentile"` // ns
	} `json:"clat_ns"`
}

// fio runs one load and returns its side.
func (l load) run(ctx context.Context, url, pattern, block string, depth int, more ...string) (side, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l.seconds)*time.Second+allowance)
	defer cancel()
	args := append([]string{"--name=x", "--ioengine=libiscsi", "--filename=" + strings.ReplaceAll(url, ":", `\:`),
		"--rw=" + pattern, "--bs=" + block, "--iodepth=" + strconv.Itoa(depth), "--size=" + l.size, "--thread",
		"--randrepeat=0", "--norandommap", "--output-format=json"}, more...)
	cmd := exec.CommandContext(ctx, l.fio, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return side{}, fmt.Errorf("fio %s on %s: %w: %s", pattern, url, err, stderr.String())
	}
	var r result
	start := bytes.IndexByte(out, '{')
	if start < 0 || json.NewDecoder(bytes.NewReader(out[start:])).Decode(&r) != nil || len(r.Jobs) != 1 {
		return side{}, fmt.Errorf("fio %s on %s: not understood: %.300s", pattern, url, out)
	}
	s := r.Jobs[0].RawRead
	if strings.HasSuffix(pattern, "write") {
		s = r.Jobs[0].RawWrite
	}
	if r.Jobs[0].Error != 0 || s.IOs == 0 {
		return side{}, fmt.Errorf("fio %s on %s: error %d, %.0f requests", pattern, url, r.Jobs[0].Error, s.IOs)
	}
	return s, nil
}

func (l load) fill(ctx context.Context, s server) error {
	_, err := l.run(ctx, s.url, "write", "1m", 8)
	return err
}

func (l load) measure(ctx context.Context, j job, s server) (measured, error) {
	before, _, err := usage(s.pid)
	if err != nil {
		return measured{}, err
	}
	got, err := l.run(ctx, s.url, j.pattern, j.block, j.depth, "--time_based", "--runtime="+strconv.Itoa(l.seconds))
	if err != nil {
		return measured{}, err
	}
	after, memory, err := usage(s.pid)
	if err != nil {
		return measured{}, err
	}
	return measured{iops: got.IOPS, p99: got.Latency.Percentile["99.000000"] / 1e3,
		cpu: (after - before) / got.IOs * 1e6, memory: memory}, nil
}

// usage returns the processor seconds of a process so far, and the most memory that it had resident, in MiB.
func usage(pid int) (cpu, memory float64, err error) {
	const ticks = 100 // USER_HZ
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("the server has ended: %w", err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	for _, f := range fields[11:13] {
		n, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return 0, 0, err
		}
		cpu += n / ticks
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(text)[0], 64)
			return cpu, kib / 1024, err
		}
	}
	return cpu, 0, fmt.Errorf("process %d tells no memory", pid)
}
