package main

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-storage/holdfast/tests/bench/lab"
)

// subject is a process that is watched.
type subject struct {
	name string
	pid  int
}

// taken is what a process took while it was watched.
type taken struct {
	Name          string  `json:"name"` // of the engine's volume, or of the daemon's node
	AnonymousMiB  float64 `json:"anonymous_mib"`
	CPUPerMinute  float64 `json:"cpu_seconds_per_minute"`
	WakeUpsPerSec float64 `json:"wake_ups_per_second"`
}

// watch looks at processes at the beginning and at the end of a time.
func watch(ctx context.Context, subjects []subject, d time.Duration, got *[]taken) error {
	before, began := make([]reading, len(subjects)), time.Now()
	for i, s := range subjects {
		var err error
		if before[i], err = read(s.pid); err != nil {
			return err
		}
	}
	if err := lab.Wait(ctx, d); err != nil {
		return err
	}
	for i, s := range subjects {
		after, err := read(s.pid)
		if err != nil {
			return err
		}
		seconds := time.Since(began).Seconds()
		*got = append(*got, taken{Name: s.name, AnonymousMiB: after.memory,
			CPUPerMinute:  (after.cpu - before[i].cpu) / seconds * 60,
			WakeUpsPerSec: max(0, after.wakes-before[i].wakes) / seconds})
	}
	return nil
}

// reading is what a process has taken so far.
type reading struct{ cpu, wakes, memory float64 }

func read(pid int) (reading, error) {
	var r reading
	var errs [3]error
	r.cpu, errs[0] = lab.ProcessorSeconds(pid)
	r.wakes, errs[1] = lab.WakeUps(pid)
	r.memory, errs[2] = lab.MemoryMiB(pid, "RssAnon")
	return r, errors.Join(errs[:]...)
}
