package raft

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// brokenRules shows for each rule commands of which the last one tells a state that holds the rule from
// one that does not. All of them follow rulesSetUp, after which h1 holds web in epoch 1 with A and B.
var brokenRules = map[string]struct {
	commands     string
	holds, broke string // how the answer to the last command begins
}{
	"staleOK": {`
		remove web B e=1 seen=2
		begin web h2 a2 takeover
		fence web A e=2 seq=9
		fence web B e=2 seq=9
		activate web e=2`, "ok e2 c4 [A]", "ok e2 c4 [A B]"},
	"noLease": {`
		begin web h2 a2 takeover
		fence web A e=2 seq=9
		activate web e=2`, "wait: ", "ok e2 c3 [A]"},
	"isrOnly": {`
		remove web B e=1 seen=2
		begin web h2 a2 takeover
		fence web A e=2 seq=9
		activate web e=2`, "wait: ", "ok e2 c4 [A]"},
	"noBump": {`
		remove web B e=1 seen=2
		remove web B e=1 seen=3`, "ok e1 c4 [A]", "ok e1 c3 [A]"},
	"noCAS": {`
		remove web B e=1 seen=2
		remove web B e=1 seen=3
		add web B e=1 c=3`, "retry: ", "ok e1 c5 [A B]"},
	"ignoreLossy": {`
		begin web h2 a2 takeover
		fence web A e=2 seq=9 lossy
		fence web B e=2 seq=9
		activate web e=2`, "ok e2 c3 [B]", "ok e2 c3 [A B]"},
	"anyLossy": {`
		begin web h2 a2 takeover
		fence web A e=2 seq=9 lossy
		activate web e=2 waited`, "wait: ", "ok e2 c3 [A]"},
	"noLabelCheck": {`
		begin web h2 a2 takeover
		fence web A e=2 cfgver=7 seq=9`, "frozen: ", "ok e2 c2 [A B]"},
	"trustSetBack": {`
		confirm web e=1 c=2 seqs=A:5,B:5
		begin web h2 a2 takeover
		fence web A e=2 cfgver=2 list=A,B seq=4
		fence web B e=2 cfgver=2 list=A,B seq=5
		activate web e=2`, "ok e2 c3 [B]", "ok e2 c3 [A B]"},
	"anyInstance": {`
		remove web B e=1 seen=2
		fence web B e=1 instance=2
		add web B e=1 c=3 instance=1`, "retry: ", "ok e1 c4 [A B]"},
	"copySinceNow": {`
		replace web B C@n3/s3
		provisioned web C
		fence web C e=1 instance=1
		copied web C e=1 c=2 instance=1 upto=64 since=1
		fence web C e=1 instance=1`, "ok e1 c3 [A B] set_back copied=64@1 clean",
		"ok e1 c3 [A B] set_back copied=64@3 clean"},
	"lateRemove": {`
		raise_version 2
		replace web B C@n3/s3
		provisioned web C
		fence web C e=1 instance=1
		add web C e=1 c=2 instance=1
		remove web B e=1 seen=3
		remove web A e=1 seen=3`, "stale", "ok e1 c5 [C]"},
	"epochReuse": {`
		begin web h1 a2 takeover`, "ok e2 ", "ok e1 "},
}

const rulesSetUp = `init_cluster demo
	register n1 storage stores=s1
	register n2 storage stores=s2
	register n3 storage stores=s3
	register h1 host
	register h2 host
	create web A@n1/s1 B@n2/s2 layout:mirror:2
	provisioned web A
	provisioned web B
	begin web h1 a1
	fence web A e=1
	fence web B e=1
	activate web e=1`

func TestRules(t *testing.T) {
	require.Len(t, ruleNames, len(brokenRules), "every rule is shown")
	require.EqualValues(t, 1<<len(ruleNames), breakEnd)
	for _, name := range RuleNames() {
		rule, ok := RuleByName(name)
		require.True(t, ok, name)
		example := brokenRules[name]
		for _, broken := range []Rules{0, rule} {
			s := newScript(t)
			for _, line := range strings.Split(rulesSetUp, "\n") {
				s.state.Apply(s.parse(strings.TrimSpace(line)))
			}
			s.state.Break(broken)
			var last string
			for _, line := range strings.Split(strings.TrimSpace(example.commands), "\n") {
				last = s.readable(s.answer(s.state.Apply(s.parse(strings.TrimSpace(line)))))
			}
			want := example.holds
			if broken != 0 {
				want = example.broke
			}
			require.True(t, strings.HasPrefix(last, want), "%s broken=%t: %s", name, broken != 0, last)
			require.NotContains(t, string(mustJSON(t, s.state)), "broken", "it is no part of what is kept")
		}
	}
	_, ok := RuleByName("noFence")
	require.False(t, ok, "a rule of the leg's")
}
