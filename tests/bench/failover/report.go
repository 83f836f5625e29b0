package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is what was measured, as it is written.
type report struct {
	Commit    string     `json:"commit"`
	Date      time.Time  `json:"date"` // when it began
	Minutes   float64    `json:"minutes"`
	Machine   machine    `json:"machine"`
	Guests    int        `json:"guests_per_fault"`
	Scenarios []*figures `json:"scenarios"`
}

// machine is where it was measured.
type machine struct {
	CPUs int    `json:"cpus"`
	Arch string `json:"arch"`
	// LoadBefore and LoadAfter are /proc/loadavg.
	LoadBefore string `json:"load_before"`
	LoadAfter  string `json:"load_after"`
}

// figures are those of one scenario. A guest that a fault met is a sample or a failure.
type figures struct {
	Name     string               `json:"name"`
	Faults   int                  `json:"faults"`
	Samples  int                  `json:"samples"`
	Failed   int                  `json:"failed"`
	Failures []string             `json:"failures"` // why, in turn
	Seconds  map[string][]float64 `json:"seconds"`  // by stage, in the order of the samples
}

func newReport(commit string, guests int) *report {
	return &report{Commit: commit, Date: time.Now().UTC(), Guests: guests,
		Machine: machine{CPUs: runtime.NumCPU(), Arch: runtime.GOARCH, LoadBefore: load()}}
}

// load returns the machine's load averages, or nothing where it does not tell.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// of returns the figures of a scenario.
func (r *report) of(scenario string) *figures {
	for _, f := range r.Scenarios {
		if f.Name == scenario {
			return f
		}
	}
	f := &figures{Name: scenario, Failures: []string{}, Seconds: map[string][]float64{}}
	r.Scenarios = append(r.Scenarios, f)
	return f
}

func (r *report) fault(scenario string) { r.of(scenario).Faults++ }

func (r *report) add(scenario string, s sample) {
	f := r.of(scenario)
	f.Samples++
	for stage, v := range s {
		f.Seconds[stage] = append(f.Seconds[stage], v)
	}
}

// failed counts guests that gave no sample for one reason.
func (r *report) failed(scenario string, guests int, why error) {
	f := r.of(scenario)
	f.Failed += guests
	f.Failures = append(f.Failures, why.Error())
}

func (r *report) failures() int {
	n := 0
	for _, f := range r.Scenarios {
		n += f.Failed
	}
	return n
}

// finish notes how long it took and how busy the machine is.
func (r *report) finish() {
	r.Minutes, r.Machine.LoadAfter = time.Since(r.Date).Minutes(), load()
}

// stages is the order of the table's rows.
func stages() []string {
	return []string{"silent", "decided", "granted", "fenced", "activated", "configured", "serving", "guest",
		"first_read", "fault to first read", "longest stall of writes"}
}

// print writes the table, and below it what failed.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "| scenario | stage | samples | p50 s | p99 s | max s |\n|---|---|---|---|---|---|\n")
	for _, f := range r.Scenarios {
		for _, stage := range stages() {
			if all := f.Seconds[stage]; len(all) > 0 {
				fmt.Fprintf(w, "| %s | %s | %d | %.3f | %.3f | %.3f |\n", f.Name, stage, len(all),
					percentile(all, 50), percentile(all, 99), percentile(all, 100))
			}
		}
	}
	fmt.Fprintf(w, "\n%d guests to a fault; %d processors; %.1f minutes\n", r.Guests, r.Machine.CPUs, r.Minutes)
	for _, f := range r.Scenarios {
		fmt.Fprintf(w, "%s: %d faults, %d samples, %d failed\n", f.Name, f.Faults, f.Samples, f.Failed)
		for _, why := range f.Failures {
			fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(why, "\n", "; "))
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
