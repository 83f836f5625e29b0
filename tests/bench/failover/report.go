package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"time"
)

// report is what was measured, as it is written.
type report struct {
	Commit     string                          `json:"commit"`
	At         time.Time                       `json:"at"`
	Processors int                             `json:"processors"`
	Runs       int                             `json:"runs"`
	Seconds    map[string]map[string][]float64 `json:"seconds"` // by scenario and stage, in the order of runs
	order      []string
}

func newReport(commit string, runs int) *report {
	return &report{Commit: commit, At: time.Now().UTC(), Processors: runtime.NumCPU(), Runs: runs,
		Seconds: make(map[string]map[string][]float64)}
}

func (r *report) add(scenario string, s sample) {
	if r.Seconds[scenario] == nil {
		r.Seconds[scenario] = make(map[string][]float64)
		r.order = append(r.order, scenario)
	}
	for stage, v := range s {
		r.Seconds[scenario][stage] = append(r.Seconds[scenario][stage], v)
	}
}

// stages is the order of the table's rows.
func stages() []string {
	return []string{"silent", "decided", "granted", "fenced", "activated", "configured", "serving", "guest",
		"first_read", "fault to first read", "longest stall of writes"}
}

// print writes the table.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "| scenario | stage | runs | p50 s | p99 s | max s |\n|---|---|---|---|---|---|\n")
	for _, scenario := range r.order {
		for _, stage := range stages() {
			if all := r.Seconds[scenario][stage]; len(all) > 0 {
				fmt.Fprintf(w, "| %s | %s | %d | %.3f | %.3f | %.3f |\n", scenario, stage, len(all),
					percentile(all, 50), percentile(all, 99), percentile(all, 100))
			}
		}
	}
}

// percentile returns the value that p of 100 do not exceed.
func percentile(all []float64, p float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[max(0, int(math.Ceil(p/100*float64(len(sorted))))-1)]
}

func (r *report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
