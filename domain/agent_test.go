package domain

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/qmp"
)

func TestAgent_channelIsTheLastDevice(t *testing.T) {
	o := qemuOrder()
	without, _, err := qemuCommand(o)
	require.NoError(t, err)
	require.NotContains(t, strings.Join(without, " "), "agent")
	o.Settings = json.RawMessage(`{"agent": true}`)
	with, _, err := qemuCommand(o)
	require.NoError(t, err)
	channel := agentChannel(o.Dir)
	require.Equal(t, strings.Join(without, " "),
		strings.Replace(strings.Join(with, " "), " "+strings.Join(channel, " "), "", 1), "all else is as it was")
	last := 0
	for i, a := range with {
		if a == "-device" {
			last = i
		}
	}
	require.Equal(t, channel[len(channel)-2:], with[last:last+2])
}

// A guest that runs no agent has the channel and is silent. Nobody waits for it for long, and it goes on.
func TestAgent_aQEMUGuestThatRunsNoneIsSilent(t *testing.T) {
	o := realQEMU(t)
	o.Settings = json.RawMessage(`{"accelerator": "tcg", "agent": true}`)
	p := start(t, NewQEMU(Options{}), o)
	guest, ok := p.(Agented)
	require.True(t, ok)
	require.True(t, guest.HasAgent())
	require.ErrorIs(t, guest.AskAgent(t.Context()), context.DeadlineExceeded)
	require.ErrorIs(t, guest.AskAgent(t.Context()), context.DeadlineExceeded, "the one before has left the channel")
	var lines []struct {
		Label string `json:"label"`
	}
	require.NoError(t, qmp.Call(t.Context(), qmpSocket(o.Dir), "query-chardev", nil, &lines))
	require.Contains(t, lines, struct {
		Label string `json:"label"`
	}{"agent"})
	goesOn(t, o)
}
