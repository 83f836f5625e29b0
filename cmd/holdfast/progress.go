package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

// progress draws the progress of long work on one line of a terminal, or as a line whenever its
// message changes elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	last     string
	drawn    bool
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

const barCells = 30

// show draws the state of an operation.
func (p *progress) show(o api.Operation) error {
	if p.terminal {
		full := min(barCells, max(0, int(o.Progress*barCells)))
		fmt.Fprintf(p.w, "\r\033[K[%s%s] %3.0f%%  %d of %d legs, %s of %s  %s",
			strings.Repeat("#", full), strings.Repeat(".", barCells-full), 100*o.Progress, o.LegsDone, o.LegsTotal,
			volume.FormatSize(o.DoneBytes), volume.FormatSize(o.CopyBytes), o.Message)
		p.drawn = true
		return nil
	}
	line := fmt.Sprintf("%s %s: %d of %d legs, %s", o.Verb, o.Object, o.LegsDone, o.LegsTotal, o.Message)
	if line != p.last {
		fmt.Fprintln(p.w, line)
		p.last = line
	}
	return nil
}

// end leaves the line.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprintln(p.w)
	}
}
