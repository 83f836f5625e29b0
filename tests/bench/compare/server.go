package compare

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Server is what is measured. It may be several processes: the processor time and the memory of all of them count.
type Server struct {
	Name string
	URL  string // iscsi://…, nbd://… or nbd+unix://…
	PIDs []int
}

// ParseServer understands NAME=URL,PID[+PID...].
func ParseServer(text string) (Server, error) {
	name, rest, ok := strings.Cut(text, "=")
	at := strings.LastIndexByte(rest, ',')
	if !ok || at < 0 {
		return Server{}, fmt.Errorf("%q: want NAME=URL,PID[+PID...]", text)
	}
	s := Server{Name: name, URL: rest[:at]}
	for pid := range strings.SplitSeq(rest[at+1:], "+") {
		n, err := strconv.Atoi(pid)
		if err != nil {
			return Server{}, fmt.Errorf("%q: want NAME=URL,PID[+PID...]", text)
		}
		s.PIDs = append(s.PIDs, n)
	}
	return s, nil
}

// usage is what a server's processes took so far.
type usage struct {
	cpu    float64 // seconds
	memory float64 // MiB resident, the most so far
}

func (s Server) usage() (usage, error) {
	var all usage
	for _, pid := range s.PIDs {
		cpu, err := processorSeconds(pid)
		if err != nil {
			return all, fmt.Errorf("%s: %w", s.Name, err)
		}
		memory, err := MemoryMiB(pid, "VmHWM")
		if err != nil {
			return all, fmt.Errorf("%s: %w", s.Name, err)
		}
		all.cpu, all.memory = all.cpu+cpu, all.memory+memory
	}
	return all, nil
}

// processorSeconds returns what a process has had of the processors, in user and kernel mode.
func processorSeconds(pid int) (float64, error) {
	const ticks = 100 // USER_HZ
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("the server has ended: %w", err)
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
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(text)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d tells no %s", pid, name)
}
