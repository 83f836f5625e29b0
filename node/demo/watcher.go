package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// logWatcher reads what the guests reported. Both guests append to the same file.
type logWatcher struct {
	path  string
	lines []LogLine
	read  int // bytes that were parsed
}

// update takes over the lines that were written since.
func (w *logWatcher) update() error {
	text, err := os.ReadFile(w.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for {
		end := bytes.IndexByte(text[w.read:], '\n')
		if end < 0 {
			return nil
		}
		var l LogLine
		if err := json.Unmarshal(text[w.read:w.read+end], &l); err != nil {
			return fmt.Errorf("the guest's log: %w", err)
		}
		w.lines = append(w.lines, l)
		w.read += end + 1
	}
}

// await returns the first line, old or new, for which cond holds.
func (w *logWatcher) await(ctx context.Context, what string, cond func(LogLine) bool) (LogLine, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("waited %s for %s in vain", patience, what))
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for next := 0; ; {
		if err := w.update(); err != nil {
			return LogLine{}, err
		}
		for ; next < len(w.lines); next++ {
			if cond(w.lines[next]) {
				return w.lines[next], nil
			}
		}
		select {
		case <-ctx.Done():
			return LogLine{}, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// highest returns the number below which every record was reported as flushed.
func (w *logWatcher) highest() uint64 {
	if w.update() != nil {
		return 0
	}
	var next uint64
	for _, l := range w.lines {
		if l.Event == "flushed" {
			next = max(next, l.Next)
		}
	}
	return next
}

// all returns every line that was reported so far. They stay the watcher's.
func (w *logWatcher) all() ([]LogLine, error) {
	err := w.update()
	return w.lines, err
}

// unbacked returns a flush that the guest of the first epoch was told of and that the clone, which
// began at record resumed, did not find. (A flush that was answered just before the freeze may be
// reported after it: that is fine, for the clone found those records.)
func (w *logWatcher) unbacked(resumed uint64) (LogLine, bool) {
	if w.update() != nil || len(w.lines) == 0 {
		return LogLine{}, false
	}
	old := w.lines[0].Epoch
	for _, l := range w.lines {
		if l.Event == "flushed" && l.Epoch == old && l.Next > resumed {
			return l, true
		}
	}
	return LogLine{}, false
}
