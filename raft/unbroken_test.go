package raft

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// A guest may go on with what a renewed attachment serves, unless the epoch began with a loss, or anybody
// else had the volume: then it must not find the name that it was plugged into (protocol-flush C, (iii)).
func TestUnbroken(t *testing.T) {
	const setUp = `raise_version 2
		init_cluster demo
		register n1 storage stores=s1
		register n2 storage stores=s2
		register h1 host
		register h2 host
		create web A@n1/s1 B@n2/s2 layout:mirror:2
		provisioned web A
		provisioned web B
		begin web h1 a1
		fence web A e=1
		fence web B e=1
		activate web e=1`
	for _, c := range []struct {
		name, lines, want string
	}{
		{"renewed", `begin web h1 a2 takeover renews=a1
			fence web A e=2
			fence web B e=2
			activate web e=2`, "a1"},
		{"renewed, one leg lost its cache", `begin web h1 a2 takeover renews=a1
			fence web A e=2 lossy
			fence web B e=2
			activate web e=2`, "a1"},
		{"renewed again and again, never active", `begin web h1 a2 takeover renews=a1
			begin web h1 a3 takeover renews=a2
			begin web h1 a4 takeover renews=a3`, "a1"},
		{"every leg lost its cache", `begin web h1 a2 takeover renews=a1
			fence web A e=2 lossy
			fence web B e=2 lossy
			activate web e=2`, "a2"},
		{"every leg lost its cache, asked again", `begin web h1 a2 takeover renews=a1
			fence web A e=2 lossy
			fence web B e=2 lossy
			activate web e=2
			activate web e=2`, "a2"},
		{"every leg lost its cache, an epoch burnt before, and renewed since",
			`begin web h1 a2 takeover renews=a1
			fence web A e=2 lossy
			begin web h1 a3 takeover renews=a2
			fence web A e=3 lossy
			fence web B e=3 lossy
			activate web e=3
			begin web h1 a4 takeover renews=a3
			fence web A e=4
			fence web B e=4
			activate web e=4`, "a3"},
		{"a lost cache that is accepted, the other leg away", `begin web h1 a2 takeover accept renews=a1
			fence web A e=2 lossy
			activate web e=2 waited`, "a2"},
		{"taken over by the same host", `begin web h1 a2 takeover`, "a2"},
		{"taken over", `begin web h2 a2 takeover`, "a2"},
		{"taken over there and back", `begin web h2 a2 takeover
			begin web h1 a3 takeover`, "a3"},
		{"detached and attached", `detach web e=1 clean
			begin web h1 a2`, "a2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t)
			s.apply(setUp)
			s.apply(c.lines)
			v := s.state.VolumeByName("web")
			active := v.Phase == volume.PhaseAttached
			require.Equal(t, strings.Contains(c.lines, "activate"), active, "nothing was refused")
			require.Equal(t, s.attach(c.want), v.Attach.Unbroken)
			again := s.state.Apply(s.parse("activate web e=" + v.Epoch.String()))
			if again.Err == nil {
				require.Equal(t, s.attach(c.want), again.Unbroken)
			}
		})
	}

	t.Run("below version 2", func(t *testing.T) {
		s := newScript(t)
		s.apply(setUp[len("raise_version 2"):])
		require.Zero(t, s.state.VolumeByName("web").Attach.Unbroken)
		s.apply("raise_version 2")
		s.apply("begin web h1 a2 takeover renews=a1")
		require.Equal(t, s.attach("a2"), s.state.VolumeByName("web").Attach.Unbroken, "what was before is not known")
		s.apply(`fence web A e=2
			fence web B e=2
			activate web e=2`)
		require.Equal(t, s.attach("a2"), s.state.VolumeByName("web").Attach.Unbroken)
	})
}
