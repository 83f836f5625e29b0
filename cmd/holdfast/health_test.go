package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
)

func TestDrawHealth(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	h := api.Health{Status: api.Degraded, Findings: []api.Finding{{Severity: "error", Status: api.Degraded,
		Object: "node/n2", Kind: "node_silent", Message: "node n2 is silent", Cause: "its heartbeats stopped",
		Next: "start it again", Since: at}}}
	draw := func(form string, terminal bool) string {
		var w bytes.Buffer
		require.NoError(t, drawHealth(&w, &output{form}, h, terminal, at))
		return w.String()
	}
	require.True(t, strings.HasPrefix(draw("table", true), clearScreen+"03:04:05\nstatus  degraded\n"))
	require.True(t, strings.HasPrefix(draw("table", false), "03:04:05\nstatus  degraded\n"))
	require.Contains(t, draw("table", false), "node n2 is silent: its heartbeats stopped")

	line := draw("json", true)
	require.Equal(t, 1, strings.Count(line, "\n"), "one object a line")
	var back api.Health
	require.NoError(t, json.Unmarshal([]byte(line), &back))
	require.Equal(t, h, back)
}

func TestHealthKey_timeAloneIsNoChange(t *testing.T) {
	h := func(since int64, message string) string {
		return healthKey(api.Health{Findings: []api.Finding{{Message: message, Since: time.Unix(since, 0)}}})
	}
	require.Equal(t, h(1, "a"), h(2, "a"))
	require.NotEqual(t, h(1, "a"), h(1, "b"))
	require.Equal(t, h(1, "leg x is replaced in 9m55s"), h(1, "leg x is replaced in 9m54.5s"))
	require.Equal(t, h(1, "72 % done"), h(1, "75 % done"))
	require.NotEqual(t, h(1, "79 % done"), h(1, "80 % done"))
	require.Equal(t, h(1, "9 % done"), h(1, "3 % done"))
	require.NotEqual(t, h(1, "2 of 3 legs"), h(1, "1 of 3 legs"))
	require.NotEqual(t, h(1, "waits for n1s"), h(1, "waits for n2s"), "a name is no duration")
}

func TestEventFilter(t *testing.T) {
	e := api.Event{Severity: "warning", Object: "volume/web1"}
	for f, want := range map[eventFilter]bool{
		{"info", ""}: true, {"warning", ""}: true, {"error", ""}: false,
		{"info", "volume/web1"}: true, {"info", "web1"}: true, {"info", "domain/web1"}: false,
		{"info", "web"}: false, {"error", "web1"}: false,
	} {
		require.Equal(t, want, f.takes(e), "%+v", f)
	}
}

func TestPrintWhy(t *testing.T) {
	at := time.Now().Add(-90 * time.Second)
	why := api.Why{Object: "domain/web1", Status: api.Down, Says: "domain web1 does not run", Because: []api.Why{
		{Object: "node/h1", Status: api.Degraded, Says: "node h1 is silent", Since: &at, Next: "it returns",
			Timers: []api.WhyTimer{{What: "its silence", LeftSeconds: 1.5, Then: "it is dead"}},
			Do:     []string{"look at it"}, Last: &api.Event{Time: at, Message: "host h1 is silent"}},
		{Object: "volume/web1", Status: api.Healthy, Says: "volume web1 is held", Progress: 0.5},
	}}
	var w bytes.Buffer
	require.NoError(t, printWhy(&w, why, time.Now()))
	stamp := at.Local().Format(time.DateTime)
	require.Equal(t, `domain web1 does not run [down]
├─ because node h1 is silent (since `+stamp+`, 1m) [degraded]
│    in    1.5s: it is dead (its silence)
│    next  it returns
│    do    look at it
│    last  `+stamp+` host h1 is silent
└─ because volume web1 is held
     done  50 %
`, w.String())
}
