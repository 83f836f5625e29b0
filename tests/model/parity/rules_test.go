package parity_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/tests/model/parity"
)

// shortest is the number of steps of the shortest history that each broken rule leads to, in the bounds of
// Rule.Shown.
func shortest() map[string]int {
	return map[string]int{
		"inPlace": 7, "loseStaged": 4, "anyStaged": 9, "fewFence": 7, "dropEarly": 17, "noChunkLock": 9,
		"decodeFlying": 3, "listQ": 16,
		"ignoreLossy": 11, "anyLossy": 11, "lateMark": 6, "forgetLossy": 13, "blindRelogin": 6, "recStale": 15,
		"commitUndurable": 13, "commitLocal": 14, "recUndurable": 15, "backOrder": 18, "recNoFlush": 23,
		"mergeLate": 19, "freeEarly": 21, "freeUnflushed": 15, "freeOrder": 19, "logHoles": 19,
		"joinRecords": 11, "lockToAck": 15, "noFloor": 16, "copyUnlocked": 5, "noJoinDrain": 10, "noJoinFlush": 11,
		"joinReboot": 11, "joinUndurable": 19, "flushEarly": 21,
	}
}

// large names the rules whose searches are for `explore -break each`: they take minutes.
func large() []string { return []string{"flushEarly", "joinUndurable"} }

// TestRules_eachOneBrokenShows: what the protocol forbids leads, in small bounds, to a history that a disk does
// not have. If one does not any more, the model or the rule has changed.
func TestRules_eachOneBrokenShows(t *testing.T) {
	want := shortest()
	for _, rule := range parity.AllRules() {
		if rule.Shown == nil {
			continue
		}
		t.Run(rule.Name, func(t *testing.T) {
			for _, name := range large() {
				if name == rule.Name {
					t.Skip("takes minutes: go run ./tests/model/parity/explore -break " + rule.Name)
				}
			}
			skipLarge(t, rule.Name)
			r, err := parity.Search(t.Context(), *rule.Shown, rule.Rules, parity.Options{TableBits: 20})
			require.NoError(t, err)
			require.NotEmpty(t, r.Violated, "%s makes no difference: %s", rule.Name, r)
			require.Len(t, r.Trace, want[rule.Name], "%s", strings.Join(r.Trace, "\n"))
		})
	}
}

// skipLarge leaves out under the race detector what it makes too slow.
func skipLarge(t *testing.T, rule string) {
	t.Helper()
	switch rule {
	case "recNoFlush", "backOrder", "logHoles", "freeOrder", "lockToAck", "recUndurable":
		if raceDetector {
			t.Skip("too large for the race detector")
		}
	}
}

func TestRules_areDescribed(t *testing.T) {
	names := map[string]bool{}
	var all parity.Rules
	for _, rule := range parity.AllRules() {
		require.False(t, names[rule.Name], rule.Name)
		require.Zero(t, all&rule.Rules, rule.Name)
		require.NotEmpty(t, rule.Text, rule.Name)
		names[rule.Name], all = true, all|rule.Rules
		found, ok := parity.RuleByName(rule.Name)
		require.True(t, ok)
		require.Equal(t, rule.Rules, found.Rules)
		if rule.Shown != nil {
			require.NoError(t, rule.Shown.Validate(), rule.Name)
		}
	}
	_, ok := parity.RuleByName("nonsense")
	require.False(t, ok)
}
