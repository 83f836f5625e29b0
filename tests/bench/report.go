package main

import (
	"fmt"
	"io"
	"slices"
)

const rowFormat = "%-26s %-7s %8s %8s %8s %5s  %-17s %-17s %s\n"

// report prints one job: a line for each server, the first is what the others are compared with.
func report(out io.Writer, j job, servers []server, got [][]measured) {
	for i, s := range servers {
		of := func(pick func(measured) float64) float64 {
			var all []float64
			for _, m := range got[i] {
				all = append(all, pick(m))
			}
			return median(all)
		}
		ratios := [3]string{}
		for n, pick := range []func(measured) float64{iops, p99, cpu} {
			if i > 0 {
				ratios[n] = ratio(got[0], got[i], pick)
			}
		}
		fmt.Fprintf(out, rowFormat, j.name, s.name, fmt.Sprintf("%.0f", of(iops)), fmt.Sprintf("%.0f", of(p99)),
			fmt.Sprintf("%.1f", of(cpu)), fmt.Sprintf("%.0f", of(memory)), ratios[0], ratios[1], ratios[2])
	}
}

func iops(m measured) float64   { return m.iops }
func p99(m measured) float64    { return m.p99 }
func cpu(m measured) float64    { return m.cpu }
func memory(m measured) float64 { return m.memory }

// ratio compares round by round.
func ratio(a, b []measured, pick func(measured) float64) string {
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
