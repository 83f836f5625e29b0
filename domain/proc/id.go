package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// ErrGone means that the process has ended, or that its number belongs to another one now.
var ErrGone = errors.New("the process is gone")

// ID identifies one process of this machine for ever: no two processes share all three.
type ID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks between boot and its start, from /proc/PID/stat
	Boot  string `json:"boot"`  // the kernel's boot_id
}

// Identify returns the identity of the process that has this number now. A process that has ended
// but was not waited for still has its identity. ErrGone means that there is none.
func Identify(pid int) (ID, error) {
	boot, err := BootID()
	if err != nil {
		return ID{}, err
	}
	s, err := readStat(pid)
	if err != nil {
		return ID{}, err
	}
	return ID{PID: pid, Start: s.start, Boot: boot}, nil
}

// BootID returns the kernel's random identity of this boot.
func BootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the boot id: %w", err)
	}
	return string(bytes.TrimSpace(text)), nil
}

// IsZero reports whether the identity names no process.
func (id ID) IsZero() bool { return id.PID == 0 }

// Alive reports whether the process runs: it exists and not all of its threads have ended. A stopped process
// is alive.
func (id ID) Alive() bool {
	if now, err := Identify(id.PID); err != nil || now != id {
		return false
	}
	s, err := readStat(id.PID)
	return err == nil && s.start == id.Start && !s.ended()
}

// String returns the process number, as messages name it.
func (id ID) String() string { return "process " + strconv.Itoa(id.PID) }

// stat is what this package uses of /proc/PID/stat (proc_pid_stat(5)).
type stat struct {
	state   byte
	parent  int
	group   int
	session int
	threads int // one when all others have ended, also of a process that nobody waited for
	start   uint64
	kernel  bool // a thread of the kernel's own
}

// ended reports whether nothing of the process runs. The state is that of its first thread alone: after it
// others may still be on their way out of the kernel, with a write under way and every file open.
func (s stat) ended() bool {
	return (s.state == 'Z' || s.state == 'X' || s.state == 'x') && s.threads <= 1
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return stat{}, fmt.Errorf("process %d: %w", pid, ErrGone)
	}
	if err != nil {
		return stat{}, fmt.Errorf("process %d: %w", pid, err)
	}
	s, err := parseStat(text)
	if err != nil {
		return stat{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return s, nil
}

// parseStat reads the fields behind the command's name, which may itself hold spaces and
// parentheses: the last closing one ends it.
func parseStat(text []byte) (stat, error) {
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return stat{}, errors.New("stat has no command name")
	}
	fields := bytes.Fields(text[end+1:])
	const flagsField, threadsField, startField = 9 - 3, 20 - 3, 22 - 3 // the fields after the name count from 3
	if len(fields) <= startField || len(fields[0]) != 1 {
		return stat{}, fmt.Errorf("stat has %d fields after the name", len(fields))
	}
	s := stat{state: fields[0][0]}
	for _, f := range []struct {
		at int
		to *int
	}{{1, &s.parent}, {2, &s.group}, {3, &s.session}, {threadsField, &s.threads}} {
		n, err := strconv.Atoi(string(fields[f.at]))
		if err != nil {
			return stat{}, fmt.Errorf("stat: %w", err)
		}
		*f.to = n
	}
	start, err := strconv.ParseUint(string(fields[startField]), 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("stat: %w", err)
	}
	flags, err := strconv.ParseUint(string(fields[flagsField]), 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("stat: %w", err)
	}
	const kernelThread = 0x00200000 // PF_KTHREAD
	s.start, s.kernel = start, flags&kernelThread != 0
	return s, nil
}

// Blocked reports whether the process waits in the kernel where no signal but SIGKILL reaches it: for a device, or for
// a child of vfork. One that was sent SIGSTOP stops when that is over, before it computes anything.
func (id ID) Blocked() bool {
	s, err := readStat(id.PID)
	return err == nil && s.start == id.Start && s.state == 'D'
}

// Stopped reports whether the process is stopped by a signal (SIGSTOP).
func (id ID) Stopped() bool {
	s, err := readStat(id.PID)
	return err == nil && s.start == id.Start && (s.state == 'T' || s.state == 't')
}
