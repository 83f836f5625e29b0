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
	return &progress{w: w, terminal: isTerminal(w)}
}

// isTerminal reports whether somebody looks at what is written, and not a file or another program.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

const barCells = 30

// show draws the state of an operation. One that is about no legs is drawn without them.
func (p *progress) show(o api.Operation) error {
	legs := ""
	if o.LegsTotal > 0 {
		legs = fmt.Sprintf("%d of %d legs, ", o.LegsDone, o.LegsTotal)
	}
	if p.terminal {
		full := min(barCells, max(0, int(o.Progress*barCells)))
		fmt.Fprintf(p.w, "\r\033[K[%s%s] %3.0f%%  %s%s of %s  %s",
			strings.Repeat("#", full), strings.Repeat(".", barCells-full), 100*o.Progress, legs,
			volume.FormatSize(o.DoneBytes), volume.FormatSize(o.CopyBytes), o.Message)
		p.drawn = true
		return nil
	}
	if legs == "" {
		legs = fmt.Sprintf("%.0f %%, ", 10*float64(int(10*o.Progress))) // a line for each tenth is enough
	}
	line := fmt.Sprintf("%s %s: %s%s", o.Verb, o.Object, legs, o.Message)
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

// sent draws how much of a file was sent; total is zero if it is not known.
func (p *progress) sent(bytes, total int64) {
	p.drawn = true
	if total == 0 {
		fmt.Fprintf(p.w, "\r\033[K%s sent", volume.FormatSize(bytes))
		return
	}
	part := float64(bytes) / float64(total)
	full := min(barCells, int(part*barCells))
	fmt.Fprintf(p.w, "\r\033[K[%s%s] %3.0f%%  %s of %s", strings.Repeat("#", full),
		strings.Repeat(".", barCells-full), 100*part, volume.FormatSize(bytes), volume.FormatSize(total))
}
