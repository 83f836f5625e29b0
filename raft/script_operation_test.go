package raft

import (
	"fmt"
	"io"
	"time"

	"github.com/stretchr/testify/require"
)

// parseOperation reads the commands of operations.
func (s *script) parseOperation(c *Command, name string, w *words) bool {
	if name != "end_operation" { // ID [STAGE=DURATION]…
		return false
	}
	w.keys["id"] = w.next()
	c.EndOperation = &EndOperation{ID: w.number("id")}
	for _, stage := range []string{StageSilent, StageGranted, StageFenced, StageActivated, StageConfigured,
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
