package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A host whose engine died takes the next epoch by itself, but only of what is still its own.
func TestBeginAttach_RenewsItsOwnAttachmentOnly(t *testing.T) {
	setUp := func() (*script, *Volume, Command) {
		s := newScript(t)
		s.apply(`init_cluster demo
			register n1 storage stores=s1
			register h1 host
			register h2 host
			create web A@n1/s1 layout:mirror:1
			provisioned web A
			begin web h1 a1`)
		v := s.state.VolumeByName("web")
		c := s.parse("begin web h1 a2 takeover")
		c.BeginAttach.Renews = v.Attach.ID
		return s, v, c
	}
	s, v, c := setUp()
	require.Nil(t, s.state.Authorise(s.node("h1"), c))
	require.NotNil(t, s.state.Authorise(s.node("h2"), c), "another's")
	plain := s.parse("begin web h1 a2 takeover")
	require.NotNil(t, s.state.Authorise(s.node("h1"), plain), "a takeover is the operator's")
	require.Nil(t, s.state.Apply(c).Err)
	require.Equal(t, v.Epoch+1, s.state.VolumeByName("web").Epoch)
	require.Equal(t, CodeRetry, func() Code {
		again := *c.BeginAttach
		again.AttachID = s.parse("begin web h1 a3 takeover").BeginAttach.AttachID
		return s.state.Apply(Command{BeginAttach: &again}).Err.Code
	}(), "the attachment that it names is over")

	for name, line := range map[string]string{
		"detached":       "detach web e=1",
		"to be detached": "request_detach web",
		"taken over":     "begin web h2 a9 takeover",
	} {
		s, _, c := setUp()
		s.apply(line)
		require.Equal(t, CodeRetry, s.state.Apply(c).Err.Code, name)
	}
}
