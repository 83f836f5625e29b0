package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/holdfast-storage/holdfast/mirror"
)

// change is one change of a leg's state, as the engine's log has it.
type change struct {
	at       time.Time
	leg      string
	from, to string
	cause    string
}

var changeLine = regexp.MustCompile(
	`(?m)^time=(\S+) .*msg="leg state".* leg=(\S+) from=(\S+) to=(\S+) cause=("(?:[^"\\]|\\.)*"|\S+)`)

// readJournal returns the changes of a leg since a time.
func readJournal(path, leg string, since time.Time) ([]change, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []change
	for _, c := range parseJournal(string(text)) {
		if c.leg == leg && !c.at.Before(since) {
			all = append(all, c)
		}
	}
	return all, nil
}

// parseJournal leaves out what it does not understand: the last line may be half written.
func parseJournal(text string) []change {
	var all []change
	for _, m := range changeLine.FindAllStringSubmatch(text, -1) {
		at, err := time.Parse(time.RFC3339Nano, m[1])
		if err != nil {
			continue
		}
		cause := m[5]
		if plain, err := strconv.Unquote(cause); err == nil {
			cause = plain
		}
		all = append(all, change{at: at, leg: m[2], from: m[3], to: m[4], cause: cause})
	}
	return all
}

// joined is how a leg came in sync.
type joined struct {
	copying, copied, inSync time.Time // the copy began and ended; the cluster reads the leg
	bytes                   int64     // of the volume that were compared
}

// howJoined finds the last time that a leg came in sync.
func howJoined(changes []change, sizeBytes int64) (joined, error) {
	var j joined
	for _, c := range changes {
		switch {
		case c.to == mirror.LegCopying.String():
			j = joined{copying: c.at, bytes: sizeBytes}
			if kib := (int64)(0); scanned(c.cause, &kib) {
				j.bytes = kib << 10
			}
		case c.from == mirror.LegCopying.String():
			j.copied = c.at
		case c.to == mirror.LegInSync.String():
			j.inSync = c.at
		}
	}
	if j.copying.IsZero() || j.copied.Before(j.copying) || j.inSync.Before(j.copied) {
		return j, fmt.Errorf("the engine's log does not tell how the leg came in sync (%d changes)", len(changes))
	}
	return j, nil
}

// scanned reports whether a cause says how much is compared, and how much that is.
func scanned(cause string, kib *int64) bool {
	n, _ := fmt.Sscanf(cause, "%d KiB are compared", kib)
	return n == 1
}
