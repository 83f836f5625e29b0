package chaos

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The histories of these tests are one block's, unless they say otherwise; times are plain numbers.

func write(value uint64, call, ret time.Duration) Op {
	return Op{Kind: Write, Value: value, Call: call, Return: ret, Done: true}
}

func read(value uint64, call, ret time.Duration) Op {
	op := Op{Kind: Read, Call: call, Return: ret, Done: true}
	for s := range op.Got {
		op.Got[s] = value
	}
	return op
}

func flush(call, ret time.Duration) Op {
	return Op{Kind: Flush, Call: call, Return: ret, Done: true}
}

func unanswered(value uint64, call time.Duration) Op {
	return Op{Kind: Write, Value: value, Call: call}
}

func fua(value uint64, call, ret time.Duration) Op {
	op := write(value, call, ret)
	op.Kind = FUA
	return op
}

func torn(first, second uint64, call, ret time.Duration) Op {
	op := read(first, call, ret)
	op.Got[sectors-1] = second
	return op
}

func run(epoch uint64, began time.Duration, ops ...Op) Run {
	return Run{Writer: "guest", Epoch: epoch, Began: began, Ops: ops}
}

func TestJudge_lawfulHistories(t *testing.T) {
	cut := Circumstances{PowerCuts: []time.Duration{5}}
	lost := Circumstances{PowerCuts: []time.Duration{99}, Losses: []Loss{{At: 100}}}
	for name, x := range map[string]struct {
		c Circumstances
		h History
	}{
		"nothing":       {Circumstances{}, nil},
		"zero at first": {Circumstances{}, History{run(1, 0, read(0, 1, 2), write(7, 3, 4), read(7, 5, 6))}},
		"two at once": {Circumstances{}, History{run(1, 0, write(7, 1, 5), write(8, 2, 6), read(7, 7, 8),
			read(7, 9, 10))}},
		"while it is done": {Circumstances{}, History{run(1, 0, write(7, 1, 9), read(7, 2, 3), read(7, 4, 5))}},
		"unanswered, done": {Circumstances{}, History{run(1, 0, unanswered(7, 1)), run(2, 9, read(7, 10, 11))}},
		"unanswered, not":  {Circumstances{}, History{run(1, 0, unanswered(7, 1)), run(2, 9, read(0, 10, 11))}},
		"done much later":  {Circumstances{}, History{run(1, 0, unanswered(7, 1), read(0, 2, 3), read(7, 50, 51))}},
		"a late answer":    {Circumstances{}, History{run(1, 0, write(7, 1, 40)), run(2, 9, read(7, 10, 11))}},
		"torn, power cut":  {cut, History{run(1, 0, unanswered(7, 1)), run(2, 9, torn(7, 0, 10, 11))}},
		"torn, read late":  {cut, History{run(1, 0, unanswered(7, 1)), run(2, 900, torn(0, 7, 910, 911))}},
		"torn by the second cut": {Circumstances{PowerCuts: []time.Duration{5, 25}}, History{
			run(1, 0, write(6, 1, 2)), run(2, 9, read(6, 10, 11), unanswered(7, 20)), run(3, 30, torn(7, 6, 31, 32))}},
		"fall back to zero": {lost, History{run(1, 0, write(7, 1, 2)),
			run(2, 110, read(0, 111, 112), read(0, 113, 114))}},
		"nothing fell back": {lost, History{run(1, 0, write(7, 1, 2)), run(2, 110, read(7, 111, 112))}},
		"one of several": {lost, History{run(1, 0, write(6, 1, 2), flush(3, 4), write(7, 5, 6), write(8, 7, 8)),
			run(2, 110, read(7, 111, 112), write(9, 113, 114), read(9, 115, 116))}},
		"a flush under way covers nothing": {lost, History{run(1, 0, write(6, 1, 5), flush(3, 9)),
			run(2, 110, read(0, 111, 112))}},
	} {
		t.Run(name, func(t *testing.T) {
			if v := Judge(x.h, x.c); v != nil {
				t.Fatal(v)
			}
		})
	}
}

// TestJudge_findsWhatIsWrong plants each kind of error: a judge that finds none of them would prove nothing.
func TestJudge_findsWhatIsWrong(t *testing.T) {
	cut := Circumstances{PowerCuts: []time.Duration{5}}
	lost := Circumstances{PowerCuts: []time.Duration{99}, Losses: []Loss{{At: 100}}}
	for name, x := range map[string]struct {
		c    Circumstances
		h    History
		says string
	}{
		"lost write": {Circumstances{}, History{run(1, 0, write(7, 1, 2), read(0, 3, 4))}, "no order"},
		"lost write, power cut of one leg": {cut, History{run(1, 0, write(7, 1, 2)), run(2, 9, read(0, 10, 11))},
			"no order"},
		"lost later": {Circumstances{}, History{run(1, 0, write(7, 1, 2), read(7, 3, 4), read(0, 5, 6))}, "no order"},
		"stale read": {Circumstances{}, History{run(1, 0, write(7, 1, 2), write(8, 3, 4)), run(2, 9, read(7, 10, 11))},
			"no order"},
		"seen, then not": {Circumstances{}, History{run(1, 0, unanswered(7, 1), read(7, 2, 3), read(0, 4, 5))},
			"no order"},
		"a write behind the fence": {Circumstances{}, History{run(1, 0, unanswered(7, 1)),
			run(2, 9, read(0, 10, 11), read(7, 12, 13))}, "no order"},
		"a value of elsewhere": {Circumstances{}, History{run(1, 0, read(5, 1, 2))}, "nobody wrote"},
		"a damaged sector":     {cut, History{run(1, 0, read(damaged, 1, 2))}, "nobody wrote"},
		"torn without a cut":   {Circumstances{}, History{run(1, 0, write(7, 1, 5), torn(7, 0, 2, 3))}, "torn"},
		"torn, cut before the write": {cut, History{run(1, 0, unanswered(7, 6)), run(2, 9, torn(7, 0, 10, 11))},
			"torn"},
		"torn, cut between the writes": {cut, History{run(1, 0, unanswered(6, 1)), run(2, 7, unanswered(7, 8)),
			run(3, 9, torn(6, 7, 10, 11))}, "torn"},
		"torn, cut after the read": {Circumstances{PowerCuts: []time.Duration{12}},
			History{run(1, 0, unanswered(7, 1)), run(2, 9, torn(7, 0, 10, 11))}, "torn"},
		"torn though answered": {cut, History{run(1, 0, write(7, 1, 2)), run(2, 9, torn(7, 0, 10, 11))}, "sector 7"},
		"two guests": {Circumstances{}, History{run(1, 0, read(0, 12, 13)), run(2, 9, read(0, 10, 11))},
			"two guests"},
		"two guests, the old one began later": {Circumstances{}, History{run(2, 1, read(0, 2, 3)),
			run(1, 5, read(0, 6, 7))}, "two guests"},
		"two guests of one epoch": {Circumstances{}, History{run(1, 0, read(0, 12, 13)), run(1, 9, read(0, 10, 11))},
			"two guests"},
		"two guests, a flush": {Circumstances{}, History{run(1, 0, flush(12, 13)), run(2, 9, read(0, 10, 11))},
			"two guests"},
		"flushed, then lost": {lost, History{run(1, 0, write(7, 1, 2), flush(3, 4)), run(2, 110, read(0, 111, 112))},
			"no order"},
		"FUA, then lost": {lost, History{run(1, 0, fua(7, 1, 2)), run(2, 110, read(0, 111, 112))}, "no order"},
		"lost behind the loss": {lost, History{run(1, 0, write(7, 1, 2)),
			run(2, 110, write(8, 111, 112), read(7, 113, 114))}, "no order"},
		"fell back twice": {lost, History{run(1, 0, write(7, 1, 2)),
			run(2, 110, read(7, 111, 112), read(0, 113, 114))}, "no order"},
		"lived through a loss": {lost, History{run(1, 0, write(7, 1, 2), read(7, 103, 104))}, "goes on"},
		"written twice":        {Circumstances{}, History{run(1, 0, write(7, 1, 2), write(7, 3, 4))}, "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			v := Judge(x.h, x.c)
			require.NotNil(t, v)
			require.ErrorContains(t, v, x.says)
			require.NotEmpty(t, v.Near)
		})
	}
}

// TestJudge_showsWhereItBroke: of a long history, the operation that broke it.
func TestJudge_showsWhereItBroke(t *testing.T) {
	r := run(1, 0)
	for i := range uint64(500) {
		at := time.Duration(i) * 10
		r.Ops = append(r.Ops, write(i+1, at+1, at+2), read(i+1, at+3, at+4))
	}
	r.Ops[601].Got[0]-- // the read behind the 301st write
	for s := range r.Ops[601].Got {
		r.Ops[601].Got[s] = r.Ops[601].Got[0]
	}
	v := Judge(History{r}, Circumstances{})
	require.NotNil(t, v)
	require.Contains(t, v.Near, "> 0.000003 to 0.000003 read = 300, epoch 1, guest")
	require.Less(t, len(v.Near), 30)
}

// TestJudge_mutatedHistories takes a lawful history of several guests and many blocks and breaks one answer of a read
// after another: each is found.
func TestJudge_mutatedHistories(t *testing.T) {
	var h History
	held := map[int64]uint64{}
	next := uint64(0)
	for n := range 4 {
		r := run(uint64(n+1), time.Duration(1000*n))
		for i := range 200 {
			at := r.Began + time.Duration(4*i)
			b := int64(i*7) % 5
			op := read(held[b], at+1, at+2)
			if i%3 == 0 {
				next++
				held[b] = next
				op = write(next, at+1, at+2)
			}
			op.Block = b
			r.Ops = append(r.Ops, op)
		}
		h = append(h, r)
	}
	require.Nil(t, Judge(h, Circumstances{}))
	broken := 0
	for i := range h {
		for j := range h[i].Ops {
			op := &h[i].Ops[j]
			if op.Kind != Read || j%10 != 1 {
				continue
			}
			was := op.Got
			op.Got = read(was[0]+1, 0, 0).Got
			require.NotNilf(t, Judge(h, Circumstances{}), "run %d, operation %d", i, j)
			op.Got = was
			broken++
		}
	}
	require.Greater(t, broken, 40)
}
