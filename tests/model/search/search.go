// Package search looks at every state that a small machine can reach, breadth first: the same bounds give the
// same number of states, the same depth and a counterexample of the same length, however many processors search.
// The machines are those of tests/model and tests/model/parity.
package search

import (
	"context"
	"fmt"
	"hash/maphash"
	"runtime"
	"sync"
	"sync/atomic"
)

// Options say what a search may use.
type Options struct {
	// TableBits is the binary logarithm of the number of states that are remembered, at 12 bytes
	// each; 0 means 24 (200 MB). A search that fills nine tenths of the table stops. Besides, the
	// states of two neighbouring levels are held, at about 200 bytes each.
	TableBits int
	Workers   int // 0: one for each processor
}

// Result is what a search found.
type Result struct {
	States   int    // states that differ by more than the names of the legs
	Depth    int    // steps of the longest of all shortest histories, or of the violation
	Complete bool   // every state within the bounds was looked at
	Violated string // what the last state of Trace violates; "" if nothing was
	Trace    []string
}

// String sums the result up in one line.
func (r Result) String() string {
	switch {
	case r.Violated != "":
		return fmt.Sprintf("VIOLATION (%s) in %d steps, after %d states", r.Violated, len(r.Trace), r.States)
	case !r.Complete:
		return fmt.Sprintf("STOPPED: no violation in %d states, up to depth %d", r.States, r.Depth)
	}
	return fmt.Sprintf("OK: no violation in all %d states, depth %d", r.States, r.Depth)
}

// Machine is what is searched. S is a state: it has no pointers, and is compared and hashed as it stands.
// All methods are called by many goroutines at once.
type Machine[S comparable] interface {
	First() S
	// Next adds every successor of a state.
	Next(s *S, x *Steps[S])
	// Within reports whether a state is inside the bounds; what is outside is not looked at.
	Within(s *S) bool
	// Normalise maps states with the same future to one.
	Normalise(s *S)
	// Renamed returns the i-th state that differs from s by names alone, from 1; false if there is none. States
	// that do are one.
	Renamed(s *S, i int) (S, bool)
	// Judge returns what a state violates, "" if nothing.
	Judge(s *S) string
}

// Steps collects the successors of one state. Names are made only while a trace is printed.
type Steps[S any] struct {
	To    []S
	named bool
	names []string
}

// Add keeps a successor. The arguments are numbers, so that they cost nothing where no name is made.
func (x *Steps[S]) Add(s *S, format string, args ...int) {
	x.To = append(x.To, *s)
	if x.named {
		values := make([]any, len(args))
		for i, v := range args {
			values[i] = v
		}
		x.names = append(x.names, fmt.Sprintf(format, values...))
	}
}

// node is a state that waits for its successors to be made, with its place in the table.
type node[S any] struct {
	state S
	slot  uint32
}

// levelChunk is how many nodes a worker takes at a time.
const levelChunk = 1024

type searcher[S comparable] struct {
	machine Machine[S]
	seed    maphash.Seed
	table   *table
}

// violation is a state that must not be, by the place of its parent and its own key.
type violation struct {
	parent uint32
	key    uint64
	why    string
}

// Search looks at every state that the machine reaches, breadth first, so that a counterexample is as short as
// any. It ends early with the context's error.
func Search[S comparable](ctx context.Context, m Machine[S], o Options) (Result, error) {
	if o.TableBits == 0 {
		o.TableBits = 24
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if err := validateTable(o.TableBits); err != nil {
		return Result{}, err
	}
	q := &searcher[S]{machine: m, seed: maphash.MakeSeed(), table: newTable(o.TableBits)}
	first := m.First()
	root, _ := q.table.insert(q.key(&first), 0)
	level := [][]node[S]{{{first, root}}}
	for depth := 0; ; depth++ {
		next, bad := q.expand(ctx, level, o.Workers)
		r := Result{States: q.table.len(), Depth: depth}
		switch {
		case ctx.Err() != nil:
			return r, ctx.Err()
		case bad != nil:
			r.Depth, r.Violated = depth+1, bad.why
			r.Trace = q.replay(first, q.table.path(root, bad.parent, bad.key))
			return r, nil
		case q.table.full():
			return r, nil
		case len(next) == 0:
			r.Complete = true
			return r, nil
		}
		level = next
	}
}

// key is the hash of a state up to names.
func (q *searcher[S]) key(s *S) uint64 {
	k := maphash.Comparable(q.seed, *s)
	for i := 1; ; i++ {
		n, ok := q.machine.Renamed(s, i)
		if !ok {
			return max(k, 1) // 0 is the table's free slot
		}
		k = min(k, maphash.Comparable(q.seed, n))
	}
}

// expand makes the next level. It frees the chunks of the level as it goes, and returns a violation
// if it met one.
func (q *searcher[S]) expand(ctx context.Context, level [][]node[S], workers int) ([][]node[S], *violation) {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex // guards next and bad
		next [][]node[S]
		bad  *violation
		pos  atomic.Int64
	)
	for range workers {
		wg.Go(func() {
			w := worker[S]{searcher: q}
			for {
				at := int(pos.Add(1)) - 1
				if at >= len(level) || q.table.full() || ctx.Err() != nil {
					break
				}
				for i := 0; i < len(level[at]) && !q.table.full(); i++ {
					w.expand(&level[at][i])
				}
				level[at] = nil
			}
			mu.Lock()
			defer mu.Unlock()
			next = append(next, w.chunks()...)
			if w.bad != nil {
				bad = w.bad
			}
		})
	}
	wg.Wait()
	return next, bad
}

// worker makes successors; it belongs to one goroutine.
type worker[S comparable] struct {
	*searcher[S]
	steps Steps[S]
	full  [][]node[S]
	out   []node[S]
	bad   *violation
}

func (w *worker[S]) expand(n *node[S]) {
	w.steps.To = w.steps.To[:0]
	w.machine.Next(&n.state, &w.steps)
	for i := range w.steps.To {
		s := &w.steps.To[i]
		if !w.machine.Within(s) {
			continue
		}
		w.machine.Normalise(s)
		key := w.key(s)
		if why := w.machine.Judge(s); why != "" {
			w.bad = &violation{n.slot, key, why}
			continue
		}
		if slot, fresh := w.table.insert(key, n.slot); fresh {
			w.keep(node[S]{*s, slot})
		}
	}
}

func (w *worker[S]) keep(n node[S]) {
	if len(w.out) == levelChunk {
		w.full, w.out = append(w.full, w.out), nil
	}
	if w.out == nil {
		w.out = make([]node[S], 0, levelChunk)
	}
	w.out = append(w.out, n)
}

func (w *worker[S]) chunks() [][]node[S] {
	if len(w.out) > 0 {
		w.full = append(w.full, w.out)
	}
	return w.full
}

// replay walks from the first state along the keys and names each step.
func (q *searcher[S]) replay(s S, keys []uint64) []string {
	var trace []string
	for _, key := range keys {
		x := Steps[S]{named: true}
		q.machine.Next(&s, &x)
		for i := range x.To {
			c := x.To[i]
			if !q.machine.Within(&c) {
				continue
			}
			q.machine.Normalise(&c)
			if q.key(&c) == key {
				trace = append(trace, x.names[i])
				s = c
				break
			}
		}
	}
	return trace
}
