package compare

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast-storage/holdfast/tests/bench/lab"
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
		cpu, err := lab.ProcessorSeconds(pid)
		if err != nil {
			return all, fmt.Errorf("%s: %w", s.Name, err)
		}
		memory, err := lab.MemoryMiB(pid, "VmHWM")
		if err != nil {
			return all, fmt.Errorf("%s: %w", s.Name, err)
		}
		all.cpu, all.memory = all.cpu+cpu, all.memory+memory
	}
	return all, nil
}
