package main

import (
	"fmt"
	"io"
	"slices"
)

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
		line := fmt.Sprintf("%s\t%s\t%.0f\t%.0f\t%.1f\t%.0f", j.name, s.name, of(iops), of(p99), of(cpu), of(memory))
		if i == 0 {
			line += "\t\t\t"
		} else {
			for _, pick := range []func(measured) float64{iops, p99, cpu} {
				line += "\t" + ratio(got[0], got[i], pick)
			}
		}
		fmt.Fprintln(out, line)
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
