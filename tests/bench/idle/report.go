package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/holdfast-storage/holdfast/tests/bench/compare"
	"github.com/holdfast-storage/holdfast/tests/bench/lab"
)

// report is what was measured, as it is written to a file.
type report struct {
	lab.Record
	Volumes      int     `json:"volumes"`
	SizeBytes    int64   `json:"size_bytes"`
	Seconds      int     `json:"seconds"`
	Engines      []taken `json:"engines"`
	Daemons      []taken `json:"daemons"`
	DaemonsAlone []taken `json:"daemons_without_volumes"`
}

const rowFormat = "%-28s %22s %24s %22s\n"

func (r *report) print(out io.Writer) {
	fmt.Fprintf(out, "%d attached volumes of %d MiB that nobody uses, watched for %d s; load average %s → %s\n",
		r.Volumes, r.SizeBytes>>20, r.Seconds, r.Machine.LoadBefore, r.Machine.LoadAfter)
	fmt.Fprintf(out, rowFormat, "", "anonymous MiB", "processor ms a minute", "wake-ups a second")
	row := func(name string, all []taken) {
		fmt.Fprintf(out, rowFormat, name, spread(all, "%.1f", func(t taken) float64 { return t.AnonymousMiB }),
			spread(all, "%.0f", func(t taken) float64 { return t.CPUPerMinute * 1000 }),
			spread(all, "%.1f", func(t taken) float64 { return t.WakeUpsPerSec }))
	}
	row("each engine", r.Engines)
	for i, d := range r.Daemons {
		row("daemon of "+d.Name, r.Daemons[i:i+1])
		row("  before any volume", r.DaemonsAlone[i:i+1])
	}
}

// spread returns the median of some, and the least and most if there are several.
func spread(all []taken, format string, pick func(taken) float64) string {
	var of []float64
	for _, t := range all {
		of = append(of, pick(t))
	}
	if len(of) == 1 {
		return fmt.Sprintf(format, of[0])
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", compare.Median(of), slices.Min(of), slices.Max(of))
}
