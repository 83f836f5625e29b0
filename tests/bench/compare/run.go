package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Run fills every server and measures all jobs on each in turn, rounds times. It prints the table to w as it goes
// and returns the figures; with an error, those until then. The first server is what the others are compared with.
func Run(ctx context.Context, w io.Writer, l Load, rounds int, jobs []Job, servers []Server) (*Report, error) {
	r := newReport(rounds, l.Seconds, servers)
	if len(servers) < 2 || rounds < 1 {
		return r, errors.New("want two servers or more and a round or more")
	}
	for _, s := range servers {
		if err := l.Fill(ctx, s); err != nil {
			return r, err
		}
	}
	fmt.Fprintf(w, "%d rounds of %d s: medians, and %s ÷ other, round by round: median (least–most)\n", rounds,
		l.Seconds, servers[0].Name)
	fmt.Fprintf(w, rowFormat, "load", "server", "IOPS", "p99 µs", "CPU s/M", "MiB", "IOPS ratio", "p99 ratio",
		"CPU ratio")
	for _, j := range jobs {
		got := make([][]Measured, len(servers))
		for range rounds {
			for i, s := range servers {
				m, err := l.Measure(ctx, j, s)
				if err != nil {
					return r, err
				}
				got[i] = append(got[i], m)
			}
		}
		r.add(j, got)
		printJob(w, j, servers, got)
	}
	return r, nil
}
