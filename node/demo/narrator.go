package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

// narrator tells what happens.
type narrator struct {
	out   io.Writer
	begin time.Time
	bar   bool // a progress bar stands on the current line
}

func (n *narrator) title(text string) { fmt.Fprintf(n.out, "\n%s\n", text) }

func (n *narrator) say(format string, args ...any) {
	fmt.Fprintf(n.out, "  %6.2fs  %s\n", time.Since(n.begin).Seconds(), fmt.Sprintf(format, args...))
}

const barCells = 40

// progress draws a bar that is overwritten by the next one; on a file it stands on lines of its own.
func (n *narrator) progress(o api.Operation) error {
	full := min(barCells, max(0, int(o.Progress*barCells)))
	line := fmt.Sprintf("  %6.2fs  [%s%s] %3.0f%%  %s of %s", time.Since(n.begin).Seconds(),
		strings.Repeat("#", full), strings.Repeat(".", barCells-full), 100*o.Progress,
		volume.FormatSize(o.DoneBytes), volume.FormatSize(o.CopyBytes))
	if n.terminal() {
		fmt.Fprintf(n.out, "\r\033[K%s", line)
		n.bar = true
		return nil
	}
	fmt.Fprintln(n.out, line)
	return nil
}

func (n *narrator) endProgress() {
	if n.bar {
		fmt.Fprintln(n.out)
		n.bar = false
	}
}

func (n *narrator) terminal() bool {
	f, ok := n.out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// measurement is one row of the table at the end.
type measurement struct {
	what  string
	value string
}

func (s *show) measure(what string, d time.Duration) {
	s.measured = append(s.measured, measurement{what, fmt.Sprintf("%.3f s", d.Seconds())})
}

// timings prints the table.
func (s *show) timings() {
	s.title("Timings")
	for _, m := range s.measured {
		fmt.Fprintf(s.out, "  %-52s %12s\n", m.what, m.value)
	}
	fmt.Fprintf(s.out, "  %-52s %12s\n", "all of it", fmt.Sprintf("%.3f s", time.Since(s.begin).Seconds()))
}

// tailLogs prints the end of every daemon's log, for a demo that failed.
func (s *show) tailLogs() {
	if s.cluster == nil {
		return
	}
	const tail = 2000
	for _, n := range s.cluster.Nodes() {
		text, err := os.ReadFile(s.cluster.LogFile(n.Name))
		if err != nil {
			continue
		}
		fmt.Fprintf(s.out, "\n-- the end of %s's log\n%s\n", n.Name, text[max(0, len(text)-tail):])
	}
}
