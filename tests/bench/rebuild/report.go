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
	SizeBytes int64      `json:"size_bytes"`
	Kinds     []kind     `json:"rebuilds"`
	Returns   []returned `json:"returns"`
}

// kind are the rebuilds of a volume with one content.
type kind struct {
	Name string    `json:"name"`
	Runs []rebuilt `json:"runs"`
}

// rebuilt is one rebuild.
type rebuilt struct {
	MBs         float64       `json:"mb_per_s"`       // of the volume that were compared and copied
	PlainMBs    float64       `json:"plain_mb_per_s"` // of the plain copy right before; zero beside a guest
	CopySeconds float64       `json:"copy_seconds"`
	AllSeconds  float64       `json:"all_seconds"` // from the start of the node without its leg until in sync
	HeldBytes   int64         `json:"held_bytes"`  // that the new leg's data takes on its file system
	Guest       *guestFigures `json:"guest,omitempty"`
}

// guestFigures are the guest's, before and beside the copy.
type guestFigures struct {
	IOPSAlone float64 `json:"iops_alone"`
	P99Alone  float64 `json:"p99_us_alone"`
	IOPS      float64 `json:"iops"`
	P99       float64 `json:"p99_us"`
	Runs      int     `json:"runs"` // of fio that these are the medians of
}

// returned is one return of a leg whose node was away.
type returned struct {
	AwaySeconds    float64 `json:"away_seconds"`
	WrittenToBytes int64   `json:"written_to_bytes"` // of the volume, by the guest
	ComparedBytes  int64   `json:"compared_bytes"`
	CopySeconds    float64 `json:"copy_seconds"`
	AllSeconds     float64 `json:"all_seconds"` // from the node's start until in sync
}

func (r *report) addRebuild(name string, got rebuilt) {
	if n := len(r.Kinds); n == 0 || r.Kinds[n-1].Name != name {
		r.Kinds = append(r.Kinds, kind{Name: name})
	}
	k := &r.Kinds[len(r.Kinds)-1]
	k.Runs = append(k.Runs, got)
}

const rowFormat = "%-42s %8s %8s %-18s %7s %7s %8s  %s\n"

func (r *report) printHead(out io.Writer) {
	fmt.Fprintf(out, "a mirror of two with %d MiB whose second leg is lost with its disk; load average %s\n",
		r.SizeBytes>>20, r.Machine.LoadBefore)
	fmt.Fprintf(out, rowFormat, "the volume is", "MB/s", "plain", "ratio", "copy s", "all s", "leg MiB",
		"guest's IOPS, p99 µs: alone → beside")
}

// printRebuild prints the medians of a kind.
func (r *report) printRebuild(out io.Writer, name string) {
	runs := r.runs(name)
	of := func(pick func(rebuilt) float64) float64 {
		var all []float64
		for _, x := range runs {
			all = append(all, pick(x))
		}
		return compare.Median(all)
	}
	plain, ratio, guest := "", "", ""
	if runs[0].Guest == nil {
		plain = fmt.Sprintf("%.0f", of(func(x rebuilt) float64 { return x.PlainMBs }))
		ratio = ratios(runs)
	} else {
		guest = fmt.Sprintf("%.0f, %.0f → %.0f, %.0f", of(func(x rebuilt) float64 { return x.Guest.IOPSAlone }),
			of(func(x rebuilt) float64 { return x.Guest.P99Alone }),
			of(func(x rebuilt) float64 { return x.Guest.IOPS }), of(func(x rebuilt) float64 { return x.Guest.P99 }))
	}
	fmt.Fprintf(out, rowFormat, name, fmt.Sprintf("%.0f", of(func(x rebuilt) float64 { return x.MBs })), plain, ratio,
		fmt.Sprintf("%.2f", of(func(x rebuilt) float64 { return x.CopySeconds })),
		fmt.Sprintf("%.2f", of(func(x rebuilt) float64 { return x.AllSeconds })),
		fmt.Sprintf("%.0f", of(func(x rebuilt) float64 { return float64(x.HeldBytes >> 20) })), guest)
}

func (r *report) runs(name string) []rebuilt {
	for _, k := range r.Kinds {
		if k.Name == name {
			return k.Runs
		}
	}
	return nil
}

// ratios compares round by round: median (least–most).
func ratios(runs []rebuilt) string {
	var all []float64
	for _, x := range runs {
		all = append(all, x.MBs/x.PlainMBs)
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", compare.Median(all), slices.Min(all), slices.Max(all))
}

func (r *report) printReturns(out io.Writer) {
	for _, x := range r.Returns {
		fmt.Fprintf(out, "away for %.0f s while a guest wrote to %d MiB: %d MiB compared in %.2f s, in sync %.2f s "+
			"after the node's start\n", x.AwaySeconds, x.WrittenToBytes>>20, x.ComparedBytes>>20,
			x.CopySeconds, x.AllSeconds)
	}
}
