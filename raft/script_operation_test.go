package raft

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// parseOperation reads the commands of operations.
func (s *script) parseOperation(c *Command, name string, w *words) bool {
	switch name {
	case "migrate": // NAME HOST run=N request=ID
		c.BeginMigration = &BeginMigration{Request: s.uuid(w.keys["request"]), Run: w.number("run"), Reason: "a try"}
		c.BeginMigration.Name, c.BeginMigration.Host = w.next(), s.node(w.next())
		return true
	case "abort": // NAME run=N id=N
		c.AbortMigration = &AbortMigration{ID: w.number("id"), Name: w.next(), Run: w.number("run"),
			Reason: "asked for"}
		return true
	case "switch": // NAME run=N id=N epochs=N,…
		c.SwitchMigration = &SwitchMigration{ID: w.number("id"), Name: w.next(), Run: w.number("run")}
		for _, e := range w.list("epochs") {
			n, err := strconv.ParseUint(e, 10, 64)
			require.NoError(s.t, err, w.line)
			c.SwitchMigration.Epochs = append(c.SwitchMigration.Epochs, volume.Epoch(n))
		}
		return true
	case "pause", "resume": // NAME
		c.PauseDomain = &PauseDomain{Name: w.next(), Paused: name == "pause"}
		return true
	case "grant_migration": // NAME id=N attach=ID,… [takeover]
		c.GrantMigration = &GrantMigration{ID: w.number("id"), Takeover: w.flag("takeover"), Name: w.next()}
		for _, id := range w.list("attach") {
			c.GrantMigration.Attach = append(c.GrantMigration.Attach, s.attach(id))
		}
		return true
	}
	if name != "end_operation" { // ID [STAGE=DURATION]…
		return false
	}
	w.keys["id"] = w.next()
	c.EndOperation = &EndOperation{ID: w.number("id")}
	for _, stage := range []string{StageSilent, StageGranted, StageSwitched, StageFenced, StageActivated,
		StageConfigured,
		StageServing, StageGuest, StageFirstRead} {
		if w.keys[stage] != "" {
			c.EndOperation.Stages = append(c.EndOperation.Stages, OperationStage{stage, w.duration(stage)})
		}
	}
	return true
}

func (w *words) duration(key string) time.Duration {
	if w.keys[key] == "" {
		return 0
	}
	d, err := time.ParseDuration(w.keys[key])
	require.NoError(w.s.t, err, w.line)
	return d
}

// showOperations prints every operation that is remembered.
func (s *script) showOperations(out io.Writer) {
	for _, o := range s.state.Operations {
		fmt.Fprintf(out, "operation %d %s %s %s->%s run=%d result=%q", o.ID, o.Kind, o.Object, o.From, o.To, o.Run,
			o.Result)
		for _, g := range o.Grants {
			fmt.Fprintf(out, " %s@e%s t_read=%q", g.Name, g.Epoch, g.TRead)
		}
		for _, stage := range o.Stages {
			fmt.Fprintf(out, " %s=%s", stage.Name, stage.At)
		}
		fmt.Fprintf(out, " reason=%q %s\n", o.Reason, o.Message)
	}
}
