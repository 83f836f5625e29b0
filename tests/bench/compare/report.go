package compare

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Report is what was measured, as it is written to a file.
type Report struct {
	Commit  string       `json:"commit"`
	Date    time.Time    `json:"date"` // when it began
	Machine Machine      `json:"machine"`
	Rounds  int          `json:"rounds"`
	Seconds int          `json:"seconds_each"`
	Servers []string     `json:"servers"` // ratios are the first one ÷ another
	Jobs    []JobFigures `json:"jobs"`
}

// Machine is where it was measured.
type Machine struct {
	CPUs       int    `json:"cpus"`
	Arch       string `json:"arch"`
	Kernel     string `json:"kernel"`
	LoadBefore string `json:"load_before"` // /proc/loadavg
	LoadAfter  string `json:"load_after"`
}

// JobFigures are the runs of one job, by server, in the order of the rounds.
type JobFigures struct {
	Name string                `json:"name"`
	Runs map[string][]Measured `json:"runs"`
}

func newReport(rounds, seconds int, servers []Server) *Report {
	r := &Report{Date: time.Now().UTC(), Rounds: rounds, Seconds: seconds, Machine: Machine{CPUs: runtime.NumCPU(),
		Arch: runtime.GOARCH, Kernel: line("/proc/sys/kernel/osrelease"), LoadBefore: line("/proc/loadavg")}}
	for _, s := range servers {
		r.Servers = append(r.Servers, s.Name)
	}
	return r
}

// line returns what a file of /proc says, or nothing where it does not tell.
func line(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func (r *Report) add(j Job, got [][]Measured) {
	f := JobFigures{Name: j.Name, Runs: map[string][]Measured{}}
	for i, runs := range got {
		f.Runs[r.Servers[i]] = runs
	}
	r.Jobs = append(r.Jobs, f)
}

// Write writes the report, which is of this commit, as JSON.
func (r *Report) Write(path, commit string) error {
	r.Commit, r.Machine.LoadAfter = commit, line("/proc/loadavg")
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

const rowFormat = "%-26s %-8s %8s %8s %8s %5s  %-19s %-19s %s\n"

// printJob prints one job: a line for each server, the first is what the others are compared with.
func printJob(out io.Writer, j Job, servers []Server, got [][]Measured) {
	for i, s := range servers {
		of := func(pick func(Measured) float64) float64 {
			var all []float64
			for _, m := range got[i] {
				all = append(all, pick(m))
			}
			return median(all)
		}
		ratios := [3]string{}
		for n, pick := range []func(Measured) float64{iops, p99, cpu} {
			if i > 0 {
				ratios[n] = ratio(got[0], got[i], pick)
			}
		}
		fmt.Fprintf(out, rowFormat, j.Name, s.Name, fmt.Sprintf("%.0f", of(iops)), fmt.Sprintf("%.0f", of(p99)),
			fmt.Sprintf("%.1f", of(cpu)), fmt.Sprintf("%.0f", of(memory)), ratios[0], ratios[1], ratios[2])
	}
}

func iops(m Measured) float64   { return m.IOPS }
func p99(m Measured) float64    { return m.P99 }
func cpu(m Measured) float64    { return m.CPU }
func memory(m Measured) float64 { return m.Memory }

// ratio compares round by round.
func ratio(a, b []Measured, pick func(Measured) float64) string {
	var all []float64
	for i := range a {
		all = append(all, pick(a[i])/pick(b[i]))
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", median(all), slices.Min(all), slices.Max(all))
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
