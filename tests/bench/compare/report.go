package compare

import (
	"fmt"
	"io"
	"slices"

	"github.com/holdfast-storage/holdfast/tests/bench/lab"
)

// Report is what was measured, as it is written to a file.
type Report struct {
	lab.Record
	Rounds  int          `json:"rounds"`
	Seconds int          `json:"seconds_each"`
	Servers []string     `json:"servers"` // ratios are the first one ÷ another
	Jobs    []JobFigures `json:"jobs"`
}

// JobFigures are the runs of one job, by server, in the order of the rounds.
type JobFigures struct {
	Name string                `json:"name"`
	Runs map[string][]Measured `json:"runs"`
}

func newReport(rounds, seconds int, servers []Server) *Report {
	r := &Report{Record: lab.Begin(""), Rounds: rounds, Seconds: seconds}
	for _, s := range servers {
		r.Servers = append(r.Servers, s.Name)
	}
	return r
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
	r.Commit = commit
	r.End()
	return lab.Write(path, r)
}

const rowFormat = "%-26s %-10s %8s %8s %8s %5s  %-19s %-19s %s\n"

// printJob prints one job: a line for each server, the first is what the others are compared with.
func printJob(out io.Writer, j Job, servers []Server, got [][]Measured) {
	for i, s := range servers {
		of := func(pick func(Measured) float64) float64 {
			var all []float64
			for _, m := range got[i] {
				all = append(all, pick(m))
			}
			return Median(all)
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
	return fmt.Sprintf("%.2f (%.2f–%.2f)", Median(all), slices.Min(all), slices.Max(all))
}

// Median returns the value in the middle of some.
func Median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
