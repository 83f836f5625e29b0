package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// FindEnv returns the processes in whose initial environment the variable has this value, the
// caller's own excluded. Processes that have ended, and those of other users when the caller is not
// root, are left out.
func FindEnv(name, value string) ([]ID, error) {
	entry := []byte(name + "=" + value)
	return find(func(pid int) bool { return hasEntry(environ(pid), entry) })
}

// FindEnvBelow returns what FindEnv does for every value that is a path below dir.
func FindEnvBelow(name, dir string) ([]ID, error) {
	prefix := []byte(name + "=" + strings.TrimSuffix(dir, "/") + "/")
	return find(func(pid int) bool {
		for _, entry := range bytes.Split(environ(pid), []byte{0}) {
			if bytes.HasPrefix(entry, prefix) {
				return true
			}
		}
		return false
	})
}

// A process in the midst of execve(2) shows an empty environment for a moment: look again then.
const (
	execLooks = 10
	execPause = time.Millisecond
)

// environ returns the initial environment of a process, empty if it has none or may not be seen.
func environ(pid int) []byte {
	for range execLooks {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || len(text) > 0 {
			return text
		}
		if s, err := readStat(pid); err != nil || s.ended() || s.kernel {
			return nil
		}
		time.Sleep(execPause)
	}
	return nil
}

// Descendants returns the living children of the given processes, their children and so on,
// without the given ones themselves.
func Descendants(of []ID) ([]ID, error) {
	parents := make(map[int]int)
	all, err := find(func(pid int) bool {
		s, err := readStat(pid)
		if err == nil {
			parents[pid] = s.parent
		}
		return err == nil
	})
	if err != nil {
		return nil, err
	}
	family := make(map[int]bool, len(of))
	for _, id := range of {
		family[id.PID] = true
	}
	var found []ID
	for grown := true; grown; {
		grown = false
		for _, id := range all {
			if !family[id.PID] && family[parents[id.PID]] {
				family[id.PID], grown = true, true
				found = append(found, id)
			}
		}
	}
	return found, nil
}

// Signal sends a signal to each of the processes. Those that are gone are passed over.
func Signal(ids []ID, sig syscall.Signal) error {
	var failed []error
	for _, id := range ids {
		h, err := Open(id)
		if err == nil {
			err = h.Signal(sig)
			h.Close()
		}
		if err != nil && !errors.Is(err, ErrGone) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func hasEntry(environ, entry []byte) bool {
	for line := range bytes.SplitSeq(environ, []byte{0}) {
		if bytes.Equal(line, entry) {
			return true
		}
	}
	return false
}

// find returns the living processes that match.
func find(match func(pid int) bool) ([]ID, error) {
	boot, err := BootID()
	if err != nil {
		return nil, err
	}
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var found []ID
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		before, err := readStat(pid)
		if err != nil || before.ended() || !match(pid) {
			continue
		}
		// The number may have passed to another process between the two looks.
		if after, err := readStat(pid); err == nil && after.start == before.start {
			found = append(found, ID{PID: pid, Start: before.start, Boot: boot})
		}
	}
	return found, nil
}
