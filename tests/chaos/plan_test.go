package chaos

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func testCast() Cast {
	return Cast{Nodes: []string{"n1", "n2", "n3"}, Storage: []string{"n1", "n2"}, Domains: []string{"a"},
		Manual: []string{"b"}, Replace: []string{"n2"}}
}

func TestPlan_followsFromItsSeed(t *testing.T) {
	one, again := Plan(7, 2*time.Minute, testCast()), Plan(7, 2*time.Minute, testCast())
	require.Equal(t, one, again)
	require.NotEqual(t, one, Plan(8, 2*time.Minute, testCast()))
	longer := Plan(7, 10*time.Minute, testCast())
	require.Equal(t, one, longer[:len(one)], "a longer run begins in the same way")
}

func TestPlan_strikesEverybodyInTwoMinutes(t *testing.T) {
	for seed := range uint64(50) {
		seen := map[Fault]bool{}
		last := time.Duration(0)
		for i, s := range Plan(seed, 2*time.Minute, testCast()) {
			seen[s.Fault] = true
			require.Equal(t, i+1, s.Number)
			require.Greater(t, s.At, last)
			require.Less(t, s.At, 2*time.Minute)
			require.GreaterOrEqual(t, s.For, lengthMin)
			require.Falsef(t, s.Node != "" && s.Node == s.Other, "a link has two ends: %s", s)
			last = s.At
		}
		for _, w := range weights() {
			require.Truef(t, seen[w.fault], "seed %d never has %q", seed, w.fault)
		}
	}
}

func TestPlan_leavesOutWhatNobodyCanDo(t *testing.T) {
	cast := Cast{Nodes: []string{"n1"}, Storage: []string{"n1"}, Domains: []string{"a"}}
	for _, s := range Plan(1, 10*time.Minute, cast) {
		require.NotContains(t, []Fault{CutLink, CutOneWay, Move, Detach, ReplaceNode}, s.Fault)
	}
}
