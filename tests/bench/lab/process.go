package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// ProcessorSeconds returns what a process has had of the processors, in user and kernel mode.
func ProcessorSeconds(pid int) (float64, error) {
	const ticks = 100 // USER_HZ
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("a process that is measured has ended: %w", err)
	}
	cpu := 0.0
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	for _, f := range fields[11:13] {
		n, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return 0, err
		}
		cpu += n / ticks
	}
	return cpu, nil
}

// MemoryMiB returns a line of /proc/PID/status that is a size, such as RssAnon.
func MemoryMiB(pid int, name string) (float64, error) {
	kib, err := statusLine(fmt.Sprintf("/proc/%d/status", pid), name)
	return kib / 1024, err
}

// WakeUps returns how often the threads of a process that live now went to sleep so far: as often they were woken.
func WakeUps(pid int) (float64, error) {
	tasks := fmt.Sprintf("/proc/%d/task", pid)
	entries, err := os.ReadDir(tasks)
	if err != nil {
		return 0, fmt.Errorf("a process that is measured has ended: %w", err)
	}
	sum := 0.0
	for _, e := range entries {
		n, err := statusLine(tasks+"/"+e.Name()+"/status", "voluntary_ctxt_switches")
		if errors.Is(err, fs.ErrNotExist) {
			continue // the thread has ended
		}
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// AvailableMiB returns how much memory of the machine can be had without swapping.
func AvailableMiB() (float64, error) {
	kib, err := statusLine("/proc/meminfo", "MemAvailable")
	return kib / 1024, err
}

// statusLine returns the number of a line of a status file of /proc.
func statusLine(path, name string) (float64, error) {
	status, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return numberOf(string(status), name)
}

func numberOf(status, name string) (float64, error) {
	for line := range strings.Lines(status) {
		if text, ok := strings.CutPrefix(line, name+":"); ok {
			fields := strings.Fields(text)
			if len(fields) == 0 {
				break
			}
			return strconv.ParseFloat(fields[0], 64)
		}
	}
	return 0, fmt.Errorf("the kernel tells no %s", name)
}
