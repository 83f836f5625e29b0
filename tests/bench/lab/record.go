package lab

import (
	"encoding/json"
	"os"
	"runtime"
	"strings"
	"time"
)

// Record says what was measured, when and where. A report has one, without a name of its own.
type Record struct {
	Commit  string    `json:"commit"`
	Date    time.Time `json:"date"` // when it began
	Machine Machine   `json:"machine"`
}

// Machine is where it was measured.
type Machine struct {
	CPUs       int    `json:"cpus"`
	Arch       string `json:"arch"`
	Kernel     string `json:"kernel"`
	LoadBefore string `json:"load_before"` // /proc/loadavg
	LoadAfter  string `json:"load_after"`
}

// Begin returns the record of a measurement that begins now.
func Begin(commit string) Record {
	return Record{Commit: commit, Date: time.Now().UTC(), Machine: Machine{CPUs: runtime.NumCPU(),
		Arch: runtime.GOARCH, Kernel: line("/proc/sys/kernel/osrelease"), LoadBefore: line("/proc/loadavg")}}
}

// End notes how loaded the machine is now.
func (r *Record) End() { r.Machine.LoadAfter = line("/proc/loadavg") }

// Write writes a report as JSON.
func Write(path string, report any) error {
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// line returns what a file of /proc says, or nothing where it does not tell.
func line(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
