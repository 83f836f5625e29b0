package sim

import "time"

// timed is something that happens at a time; what happens at the same time keeps its order.
type timed struct {
	at    time.Duration
	order uint64
	run   func()
}

func (t timed) before(o timed) bool { return t.at < o.at || t.at == o.at && t.order < o.order }

// eventQueue is a binary heap: the first of it happens next. It is not container/heap because that would put each of
// a run's tens of thousands of events into an interface, twice.
type eventQueue []timed

func (q *eventQueue) push(x timed) {
	*q = append(*q, x)
	list := *q
	for at := len(list) - 1; at > 0; {
		parent := (at - 1) / 2
		if !list[at].before(list[parent]) {
			return
		}
		list[at], list[parent] = list[parent], list[at]
		at = parent
	}
}

// pop takes what happens next. There has to be something.
func (q *eventQueue) pop() timed {
	list := *q
	first, last := list[0], len(list)-1
	list[0], list[last] = list[last], timed{}
	list = list[:last]
	*q = list
	for at := 0; ; {
		child := 2*at + 1
		if child >= len(list) {
			return first
		}
		if right := child + 1; right < len(list) && list[right].before(list[child]) {
			child = right
		}
		if !list[child].before(list[at]) {
			return first
		}
		list[at], list[child] = list[child], list[at]
		at = child
	}
}
