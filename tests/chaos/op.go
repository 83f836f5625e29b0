package chaos

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// BlockBytes is what a Writer reads and writes at once, and sectors how many of the smallest units that a disk keeps
// whole in a loss of power lie in it.
const (
	BlockBytes  = 4096
	sectorBytes = 512
	sectors     = BlockBytes / sectorBytes
)

// Kind is what an operation does.
type Kind string

// The kinds of operations.
const (
	Read  Kind = "read"
	Write Kind = "write"
	FUA   Kind = "fua" // a write that is on stable storage when it is answered
	Flush Kind = "flush"
)

// Content is the value that each sector of a block holds. Zero was never written.
type Content [sectors]uint64

// Op is one operation of a writer.
type Op struct {
	Kind   Kind
	Block  int64         // its number; of no meaning in a Flush
	Value  uint64        // of a write, in every sector
	Got    Content       // of a read
	Call   time.Duration // on CLOCK_MONOTONIC, before it was asked for
	Return time.Duration // after it was answered
	Done   bool          // it was answered, without an error
}

func (o Op) writes() bool { return o.Kind == Write || o.Kind == FUA }

// Run is the life of one writer, from its connection to its end.
type Run struct {
	Writer string        // names it in messages: where it ran and as which process
	Epoch  uint64        // that it was started with
	Began  time.Duration // once it was connected
	Ops    []Op          // in the order of their calls
}

// History is what the writers of a volume did, in the order in which they began.
type History []Run

// line is one line of a writer's file: the first says who it is, then each operation has one when it is called and,
// if it was answered, another one.
type line struct {
	Writer string        `json:"writer,omitempty"`
	Epoch  uint64        `json:"epoch,omitempty"`
	Call   int           `json:"call,omitempty"`   // the operation's number, from 1
	Return int           `json:"return,omitempty"` // the number of the operation that was answered
	Kind   Kind          `json:"kind,omitempty"`
	Block  int64         `json:"block,omitempty"`
	Value  uint64        `json:"value,omitempty"`
	Got    *Content      `json:"got,omitempty"`
	Error  string        `json:"error,omitempty"`
	At     time.Duration `json:"at"`
}

// historySuffix ends the name of every writer's file.
const historySuffix = ".history"

// ReadHistory reads what the writers of a volume left in a directory. The last line of one that was killed may be
// cut short.
func ReadHistory(dir string) (History, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"+historySuffix))
	if err != nil {
		return nil, err
	}
	var h History
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		r, err := parseRun(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if r.Writer != "" { // else it was killed before its first line
			h = append(h, r)
		}
	}
	slices.SortFunc(h, func(a, b Run) int { return cmp.Compare(a.Began, b.Began) })
	return h, nil
}

func parseRun(text []byte) (Run, error) {
	var r Run
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	for number, l := range strings.Split(strings.TrimSuffix(string(whole), "\n"), "\n") {
		if l == "" && len(whole) == 0 {
			break
		}
		var x line
		if err := json.Unmarshal([]byte(l), &x); err != nil {
			return r, fmt.Errorf("line %d: %w", number+1, err)
		}
		switch {
		case number == 0 && x.Writer != "":
			r.Writer, r.Epoch, r.Began = x.Writer, x.Epoch, x.At
		case number > 0 && x.Call == len(r.Ops)+1:
			r.Ops = append(r.Ops, Op{Kind: x.Kind, Block: x.Block, Value: x.Value, Call: x.At})
		case number > 0 && x.Return >= 1 && x.Return <= len(r.Ops):
			op := &r.Ops[x.Return-1]
			op.Return, op.Done = x.At, x.Error == ""
			if x.Got != nil {
				op.Got = *x.Got
			}
		default:
			return r, fmt.Errorf("line %d does not follow from those before: %s", number+1, l)
		}
	}
	return r, nil
}

// Count returns how many operations a history has, and how many of them were not answered.
func (h History) Count() (all, unanswered int) {
	for _, r := range h {
		all += len(r.Ops)
		for _, op := range r.Ops {
			if !op.Done {
				unanswered++
			}
		}
	}
	return all, unanswered
}
