package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Load is how fio is run.
type Load struct {
	ISCSI   string // the fio for iscsi URLs; its libiscsi engine must be asynchronous
	NBD     string // the fio for NBD URLs
	Seconds int    // length of a run
	Size    string // how much of each device is used, as fio writes it
}

// allowance is what fio may take beside the run itself.
const allowance = time.Minute

// result is what counts of fio's JSON.
type result struct {
	Jobs []struct {
		Error    int  `json:"error"`
		RawRead  Side `json:"read"`
		RawWrite Side `json:"write"`
	} `json:"jobs"`
}

// Side is what fio says of the requests of one direction.
type Side struct {
	IOs     float64 `json:"total_ios"`
	IOPS    float64 `json:"iops"`
	Bytes   float64 `json:"io_bytes"`
	Millis  float64 `json:"runtime"` // for how long they were counted
	Latency struct {
		Percentile map[string]float64 `json:"percentile"` // ns
	} `json:"clat_ns"`
}

// engine returns the fio for a URL, and the arguments by which it reaches it.
func (l Load) engine(url string) (program string, args []string) {
	if strings.HasPrefix(url, "nbd") {
		return l.NBD, []string{"--ioengine=nbd", "--uri=" + url}
	}
	return l.ISCSI, []string{"--ioengine=libiscsi", "--filename=" + strings.ReplaceAll(url, ":", `\:`)}
}

// run runs one load and returns its side.
func (l Load) run(ctx context.Context, url, pattern, block string, depth int, more ...string) (Side, error) {
	read, write, err := l.Sides(ctx, url, pattern, block, depth, more...)
	s := read
	if strings.HasSuffix(pattern, "write") {
		s = write
	}
	if err == nil && s.IOs == 0 {
		err = fmt.Errorf("fio %s on %s: no requests", pattern, url)
	}
	return s, err
}

// Sides runs one load and returns what fio says of its reads and of its writes.
func (l Load) Sides(ctx context.Context, url, pattern, block string, depth int, more ...string) (read, write Side,
	err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l.Seconds)*time.Second+allowance)
	defer cancel()
	program, args := l.engine(url)
	args = append(args, "--name=x", "--rw="+pattern, "--bs="+block, "--iodepth="+strconv.Itoa(depth),
		"--size="+l.Size, "--thread", "--randrepeat=0", "--norandommap", "--output-format=json")
	cmd := exec.CommandContext(ctx, program, append(args, more...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return read, write, fmt.Errorf("fio %s on %s: %w: %s", pattern, url, err, stderr.String())
	}
	var r result
	start := bytes.IndexByte(out, '{')
	if start < 0 || json.NewDecoder(bytes.NewReader(out[start:])).Decode(&r) != nil || len(r.Jobs) != 1 {
		return read, write, fmt.Errorf("fio %s on %s: not understood: %.300s", pattern, url, out)
	}
	if r.Jobs[0].Error != 0 {
		return read, write, fmt.Errorf("fio %s on %s: error %d", pattern, url, r.Jobs[0].Error)
	}
	return r.Jobs[0].RawRead, r.Jobs[0].RawWrite, nil
}

// Fill writes all that is used: a hole is cheaper to read.
func (l Load) Fill(ctx context.Context, s Server) error {
	_, err := l.run(ctx, s.URL, "write", "1m", 8)
	return err
}

// Measured is one run of a job on one server.
type Measured struct {
	IOPS   float64 `json:"iops"`
	P99    float64 `json:"p99_us"`
	CPU    float64 `json:"cpu_s_per_million"` // processor seconds of the server for a million requests
	Memory float64 `json:"memory_mib"`        // resident, the most so far
}

// Measure runs one job on one server for as long as the load says.
func (l Load) Measure(ctx context.Context, j Job, s Server) (Measured, error) {
	before, err := s.usage()
	if err != nil {
		return Measured{}, err
	}
	got, err := l.run(ctx, s.URL, j.Pattern, j.Block, j.Depth, "--time_based", "--runtime="+strconv.Itoa(l.Seconds))
	if err != nil {
		return Measured{}, err
	}
	after, err := s.usage()
	if err != nil {
		return Measured{}, err
	}
	return Measured{IOPS: got.IOPS, P99: got.Latency.Percentile["99.000000"] / 1e3,
		CPU: (after.cpu - before.cpu) / got.IOs * 1e6, Memory: after.memory}, nil
}
