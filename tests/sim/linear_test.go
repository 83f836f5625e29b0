package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
)

// TestLawful_theOrderOfCallsIsAnOrder: what is taken for lawful because the order of the calls explains it is lawful
// for the search, too, in random histories of a block with requests that overlap, are never answered, or read anything.
func TestLawful_theOrderOfCallsIsAnOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var first fallback
	for s := range first {
		first[s] = []origin{{value: 0}, {value: 100}}
	}
	end := time.Duration(1000)
	inOrder, searched, unlawful := 0, 0, 0
	for range 3000 {
		ops, lost := randomHistory(rng), rng.IntN(2) == 0
		var list []porcupine.Operation
		for i := range ops {
			ret := ops[i].ret
			if !ops[i].done {
				ret = end
			}
			if counts(&ops[i], ops) {
				list = append(list, porcupine.Operation{ClientId: i, Input: ops[i], Call: int64(ops[i].call) * 2,
					Return: int64(ret)*2 + 1})
			}
		}
		lawful := porcupine.CheckOperations(model(first, lost), list)
		switch ok := inOrderOfCalls(0xff, ops, first, lost); {
		case ok:
			require.Truef(t, lawful, "%v", ops)
			inOrder++
		case lawful:
			searched++
		default:
			unlawful++
		}
		got, _ := (&history{}).lawful(ops, first, lost, end)
		require.Equalf(t, lawful, got, "%v", ops)
	}
	require.Greater(t, min(inOrder, searched, unlawful), 100, "all three kinds are met: %d, %d, %d", inOrder, searched,
		unlawful)
}

// randomHistory is a few requests for one block, in the order of their calls; reads find a value of about that time.
func randomHistory(rng *rand.Rand) []operation {
	var ops []operation
	now := time.Duration(0)
	for i := range 1 + rng.IntN(7) {
		now += time.Duration(rng.IntN(10))
		op := operation{mask: 0xff, call: now, ret: now + time.Duration(rng.IntN(20)), done: rng.IntN(5) > 0}
		if op.write = rng.IntN(2) == 0; op.write {
			op.value = uint32(i + 1)
		}
		value := uint32(rng.IntN(i + 2))
		for s := range op.got {
			op.got[s] = value
		}
		ops = append(ops, op)
	}
	return ops
}
