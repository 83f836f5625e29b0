package model_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/tests/model"
)

// shortest is the number of steps of the shortest history that each broken rule leads to, in the
// bounds of Rule.Shown: class flush, class sync. Zero: the rule is not shown in that class.
func shortest() map[string][2]int {
	return map[string][2]int{
		"noFence": {13, 13}, "noDrain": {13, 13}, "volFence": {16, 16}, "oldLogin": {15, 15},
		"serveOnLogin": {9, 9}, "epochReuse": {5, 5}, "aba": {14, 14}, "noKillSess": {18, 18},
		"staleOK": {14, 14}, "noLease": {10, 10}, "isrOnly": {11, 11},
		"ackEarly": {12, 12}, "releaseEarly": {16, 14}, "serveEarly": {20, 18}, "pushISROnly": {0, 25},
		"noRestamp": {17, 15}, "noBump": {21, 21}, "noCAS": {21, 21}, "commitFirst": {12, 12},
		"noSeenCfg": {20, 0}, "ownJoinOnly": {22, 0},
		"noRecon": {13, 13}, "noResync": {14, 14}, "noOwnMarks": {18, 18}, "clearEarly": {14, 14},
		"stableJoining": {19, 19}, "noWODrain": {14, 14}, "readDuringW": {4, 4}, "noLabelCheck": {16, 16},
		"ignoreLossy": {13, 0}, "forgetLossy": {15, 0}, "oldEvidence": {14, 0}, "anyLossy": {13, 0},
		"blindRelogin": {7, 0}, "removeGood": {15, 0}, "flushEarly": {17, 0}, "noJoinFlush": {16, 0},
		"joinReboot": {16, 0}, "lateMark": {7, 0}, "clearUnflushed": {8, 0}, "unmarkedCopy": {15, 0},
		"readSuspect": {15, 0}, "readUncommit": {19, 0},
	}
}

// large names the rules whose searches are too large for the race detector, in states.
func large() map[string]int {
	return map[string]int{
		"pushISROnly": 5_300_000, "noSeenCfg": 740_000, "ownJoinOnly": 1_100_000, "flushEarly": 890_000,
		"noJoinFlush": 510_000, "noLabelCheck": 80_000, "forgetLossy": 83_000, "releaseEarly": 100_000,
		"serveEarly": 130_000, "noRestamp": 75_000, "readUncommit": 70_000,
	}
}

// TestRules_eachIsNeeded breaks every rule once in each class that needs it: the contract must catch
// it, in a history of the expected length.
func TestRules_eachIsNeeded(t *testing.T) {
	steps := shortest()
	for _, rule := range model.AllRules() {
		want := steps[rule.Name]
		delete(steps, rule.Name)
		for _, b := range rule.Shown {
			t.Run(rule.Name+"/"+b.Class.String(), func(t *testing.T) {
				skipLarge(t, large()[rule.Name])
				r := search(t, b, rule.Rules, model.Options{TableBits: 23})
				require.Equal(t, "contract", r.Violated, "the broken rule made no difference: %s", r)
				require.Len(t, r.Trace, want[b.Class], "%s", strings.Join(r.Trace, "\n"))
				require.Equal(t, want[b.Class], r.Depth)
				require.NotContains(t, r.Trace, "")
			})
		}
	}
	require.Empty(t, steps, "rules that do not exist")
}

// TestRules_spareOnesChangeNothing: what is said to be defence in depth is not needed within bounds
// in which all the others are shown, so the list stays honest.
func TestRules_spareOnesChangeNothing(t *testing.T) {
	b := flushClass(func(b *model.Bounds) { b.Cuts = 1 })
	spare := 0
	for _, rule := range model.AllRules() {
		if len(rule.Shown) > 0 {
			continue
		}
		spare++
		t.Run(rule.Name, func(t *testing.T) {
			skipLarge(t, 860_000)
			r := search(t, b, rule.Rules, model.Options{TableBits: 22})
			require.Empty(t, r.Violated, "%s is needed, move it: %s", rule.Name, strings.Join(r.Trace, "\n"))
			require.True(t, r.Complete)
		})
	}
	require.Equal(t, 2, spare)
}

// TestRules_operatorBehindAHostIsUnsafe: why an operator's removal goes through the host in class
// flush (protocol-flush D.6).
func TestRules_operatorBehindAHostIsUnsafe(t *testing.T) {
	skipLarge(t, 400_000)
	b := flushClass(func(b *model.Bounds) { b.Cuts, b.Flushes, b.Operator = 1, 0, true })
	require.Equal(t, "contract", search(t, b, 0, model.Options{TableBits: 22}).Violated)
}

func TestRuleByName(t *testing.T) {
	seen := model.Rules(0)
	for _, rule := range model.AllRules() {
		got, ok := model.RuleByName(rule.Name)
		require.True(t, ok)
		require.Equal(t, rule.Rules, got.Rules)
		require.Zero(t, seen&rule.Rules, "%s shares its bit", rule.Name)
		require.NotEmpty(t, rule.Text)
		seen |= rule.Rules
	}
	_, ok := model.RuleByName("nofence")
	require.False(t, ok)
}
