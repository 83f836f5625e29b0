package main

import (
	"fmt"
	"io"

	"github.com/holdfast-storage/holdfast/tests/bench/compare"
	"github.com/holdfast-storage/holdfast/tests/bench/lab"
)

// report is what was measured, as it is written to a file.
type report struct {
	lab.Record
	Rounds  int    `json:"rounds"`
	Seconds int    `json:"seconds_each"`
	Steps   []step `json:"steps"`
}

// step is what was measured beside some idle volumes.
type step struct {
	Idle int                           `json:"idle_volumes"`
	Jobs map[string][]compare.Measured `json:"jobs"`
	// OwnCores is what the busy volume's engine and the daemons took before the load, IdleCores what the engines of
	// the idle volumes did; in cores.
	OwnCores  float64 `json:"own_cores_at_rest"`
	IdleCores float64 `json:"idle_engines_cores_at_rest"`
}

// net returns what a million requests cost above what is taken at rest anyhow, in processor seconds.
func (s step) net(m compare.Measured) float64 { return m.CPU - s.OwnCores/m.IOPS*1e6 }

const rowFormat = "%-26s %7s %8s %8s %8s %8s %7s\n"

func (r *report) print(out io.Writer) {
	fmt.Fprintf(out, "one busy volume beside idle ones on one host, %d rounds of %d s: medians; load average %s → %s\n",
		r.Rounds, r.Seconds, r.Machine.LoadBefore, r.Machine.LoadAfter)
	fmt.Fprintf(out, rowFormat, "load", "beside", "IOPS", "p99 µs", "CPU s/M", "net s/M", "÷ none")
	for _, j := range jobs() {
		none := r.Steps[0].median(j, r.Steps[0].net)
		for _, s := range r.Steps {
			net := s.median(j, s.net)
			fmt.Fprintf(out, rowFormat, j.Name, fmt.Sprint(s.Idle),
				fmt.Sprintf("%.0f", s.median(j, func(m compare.Measured) float64 { return m.IOPS })),
				fmt.Sprintf("%.0f", s.median(j, func(m compare.Measured) float64 { return m.P99 })),
				fmt.Sprintf("%.1f", s.median(j, func(m compare.Measured) float64 { return m.CPU })),
				fmt.Sprintf("%.1f", net), fmt.Sprintf("%.2f", net/none))
		}
	}
	for _, s := range r.Steps {
		fmt.Fprintf(out, "at rest beside %d: %.3f cores for the engine and the daemons, %.3f for the other engines\n",
			s.Idle, s.OwnCores, s.IdleCores)
	}
}

func (s step) median(j compare.Job, pick func(compare.Measured) float64) float64 {
	var all []float64
	for _, m := range s.Jobs[j.Name] {
		all = append(all, pick(m))
	}
	return compare.Median(all)
}
