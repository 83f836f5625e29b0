package model

import (
	"context"
	"errors"
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

// node is a state that waits for its successors to be made, with its place in the table.
type node struct {
	state state
	slot  uint32
}

// levelChunk is how many nodes a worker takes at a time.
const levelChunk = 1024

type searcher struct {
	machine *machine
	perms   []permutation
	seed    maphash.Seed
	table   *table
}

// violation is a state that must not be, by the place of its parent and its own key.
type violation struct {
	parent uint32
	key    uint64
	why    string
}

// Search looks at every state that the protocol reaches within the bounds while the rules are
// broken, breadth first, so that a counterexample is as short as any. It ends early with the
// context's error.
func Search(ctx context.Context, b Bounds, broken Rules, o Options) (Result, error) {
	if o.TableBits == 0 {
		o.TableBits = 24
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if err := errors.Join(b.Validate(), validateTable(o.TableBits)); err != nil {
		return Result{}, err
	}
	q := &searcher{
		machine: newMachine(b, broken),
		perms:   permutations(b.Legs),
		seed:    maphash.MakeSeed(),
		table:   newTable(o.TableBits),
	}
	first := q.machine.initial()
	root, _ := q.table.insert(q.key(&first), 0)
	level := [][]node{{{first, root}}}
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

// key is the hash of a state up to the names of the legs.
func (q *searcher) key(s *state) uint64 {
	k := maphash.Comparable(q.seed, *s)
	for i := 1; i < len(q.perms); i++ {
		k = min(k, maphash.Comparable(q.seed, q.perms[i].apply(s)))
	}
	return max(k, 1) // 0 is the table's free slot
}

// judge returns what a state violates, "" if nothing.
func (q *searcher) judge(s *state) string {
	if s.explained == noExplanation {
		return "contract"
	}
	if q.machine.broken == 0 {
		return q.machine.invariants(s)
	}
	return ""
}

// expand makes the next level. It frees the chunks of the level as it goes, and returns a violation
// if it met one.
func (q *searcher) expand(ctx context.Context, level [][]node, workers int) ([][]node, *violation) {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex // guards next and bad
		next [][]node
		bad  *violation
		pos  atomic.Int64
	)
	for range workers {
		wg.Go(func() {
			w := worker{searcher: q}
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
type worker struct {
	*searcher
	steps steps
	full  [][]node
	out   []node
	bad   *violation
}

func (w *worker) expand(n *node) {
	w.steps.to = w.steps.to[:0]
	w.machine.next(&n.state, &w.steps)
	for i := range w.steps.to {
		s := &w.steps.to[i]
		if !w.machine.within(s) {
			continue
		}
		w.machine.normalise(s)
		key := w.key(s)
		if why := w.judge(s); why != "" {
			w.bad = &violation{n.slot, key, why}
			continue
		}
		if slot, fresh := w.table.insert(key, n.slot); fresh {
			w.keep(node{*s, slot})
		}
	}
}

func (w *worker) keep(n node) {
	if len(w.out) == levelChunk {
		w.full, w.out = append(w.full, w.out), nil
	}
	if w.out == nil {
		w.out = make([]node, 0, levelChunk)
	}
	w.out = append(w.out, n)
}

func (w *worker) chunks() [][]node {
	if len(w.out) > 0 {
		w.full = append(w.full, w.out)
	}
	return w.full
}

// replay walks from the first state along the keys and names each step.
func (q *searcher) replay(s state, keys []uint64) []string {
	var trace []string
	for _, key := range keys {
		x := steps{named: true}
		q.machine.next(&s, &x)
		for i := range x.to {
			c := x.to[i]
			if !q.machine.within(&c) {
				continue
			}
			q.machine.normalise(&c)
			if q.key(&c) == key {
				trace = append(trace, x.names[i])
				s = c
				break
			}
		}
	}
	return trace
}
