package coordinator

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestVolume_exportsAreSetAndShown: with an address or without, and never with what guests have to prove; the engine's
// ticket has that.
func TestVolume_exportsAreSetAndShown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		w.create("v2")
		require.Equal(t, []api.ExportSetting{}, w.volume("v1").Exports)
		set := func(name string, r api.SetExport) ([]api.ExportSetting, error) {
			r.Kind = "iscsi"
			v, err := w.api.SetVolume(t.Context(), name, api.SetVolume{Export: &r})
			return v.Exports, err
		}
		secret := func(name string) string {
			secrets, err := w.api.ExportSecrets(t.Context(), name)
			require.NoError(t, err)
			require.Len(t, secrets, 1)
			require.Equal(t, "iscsi", secrets[0].Kind)
			require.Equal(t, name, secrets[0].User)
			require.Len(t, secrets[0].Secret, volume.ExportSecretMax)
			return secrets[0].Secret
		}
		first := []api.ExportSetting{{Kind: "iscsi", Address: "127.0.0.1:13260", User: "v1"}}
		got, err := set("v1", api.SetExport{})
		require.NoError(t, err)
		require.Equal(t, first, got)
		require.Equal(t, first, w.volume("v1").Exports)
		before := secret("v1")
		got, err = set("v1", api.SetExport{})
		require.NoError(t, err)
		require.Equal(t, first, got, "its own port is free for it")
		require.NotEqual(t, before, secret("v1"))
		got, err = set("v2", api.SetExport{Open: true})
		require.NoError(t, err)
		require.Equal(t, []api.ExportSetting{{Kind: "iscsi", Address: "127.0.0.1:13261"}}, got)
		none, err := w.api.ExportSecrets(t.Context(), "v2")
		require.NoError(t, err)
		require.Empty(t, none)

		_, err = set("v2", api.SetExport{Address: "127.0.0.1:13260"})
		refusedWith(t, err, api.CodeExists, "of volume v1 is at 127.0.0.1:13260")
		_, err = set("v2", api.SetExport{Address: "10.0.0.1:3260", Open: true})
		refusedWith(t, err, api.CodeInvalid, "only loopback")
		_, err = set("v2", api.SetExport{Off: true, Open: true})
		refusedWith(t, err, api.CodeInvalid, "no address")
		_, err = set("nope", api.SetExport{})
		refusedWith(t, err, api.CodeNotFound, "nope")
		_, err = w.api.ExportSecrets(t.Context(), "nope")
		refusedWith(t, err, api.CodeNotFound, "nope")

		_, err = w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h1"})
		require.NoError(t, err)
		state, _ := w.raft.State()
		ticket := BuildTicket(state, state.VolumeByName("v1"), time.Second)
		require.Equal(t, []volume.ExportSetting{{Kind: volume.ExportISCSI, Address: "127.0.0.1:13260",
			Secret: volume.ExportSecret(secret("v1"))}}, ticket.Exports)
		_, err = set("v1", api.SetExport{Off: true})
		refusedWith(t, err, api.CodeBusy, "detach it first")
		require.NoError(t, w.api.DetachVolume(t.Context(), "v1", api.Wait{}))
		got, err = set("v1", api.SetExport{Off: true})
		require.NoError(t, err)
		require.Empty(t, got)
	})
}

// What other machines reach listens for them, and has no secret: who has a credential is let in.
func TestVolume_exportWithTLS(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		set := func(r api.SetExport) ([]api.ExportSetting, error) {
			r.Kind = string(volume.ExportNBDTLS)
			v, err := w.api.SetVolume(t.Context(), "v1", api.SetVolume{Export: &r})
			return v.Exports, err
		}
		got, err := set(api.SetExport{})
		require.NoError(t, err)
		require.Equal(t, []api.ExportSetting{{Kind: "nbd-tls", Address: "0.0.0.0:13260"}}, got)
		none, err := w.api.ExportSecrets(t.Context(), "v1")
		require.NoError(t, err)
		require.Empty(t, none)
		_, err = set(api.SetExport{Open: true})
		refusedWith(t, err, api.CodeInvalid, "never open")
		got, err = set(api.SetExport{Address: "10.0.0.1:10809"})
		require.NoError(t, err)
		require.Equal(t, []api.ExportSetting{{Kind: "nbd-tls", Address: "10.0.0.1:10809"}}, got)

		series := volume.NewUUID()
		state, _ := w.raft.State()
		issue := raft.IssueCredential{Volume: state.VolumeByName("v1").ID, Series: series}
		_, _, err = w.raft.Apply(t.Context(), raft.Command{IssueCredential: &issue})
		require.NoError(t, err)
		_, err = w.api.AttachVolume(t.Context(), "v1", api.AttachVolume{Host: "h1"})
		require.NoError(t, err)
		ticket := func() peer.Ticket {
			state, _ := w.raft.State()
			return BuildTicket(state, state.VolumeByName("v1"), time.Second)
		}
		require.Equal(t, []volume.ExportSetting{{Kind: volume.ExportNBDTLS, Address: "10.0.0.1:10809"}},
			ticket().Exports)
		require.Equal(t, series, ticket().Credentials)
		require.NoError(t, w.api.RevokeCredentials(t.Context(), "v1"))
		require.NotEqual(t, series, ticket().Credentials)
		require.False(t, ticket().Credentials.IsZero())
	})
}

// A node's own port is nobody's export: the volume may come to that host.
func TestFreePort_isNoNodes(t *testing.T) {
	s, own := raft.NewState(), &raft.Volume{ID: volume.NewID()}
	require.EqualValues(t, volume.ExportPortMin, freePort(s, own, volume.ExportISCSI))
	s.Nodes[volume.NewNodeID()] = &raft.Node{API: fmt.Sprintf("h1:%d", volume.ExportPortMin),
		Raft:   fmt.Sprintf("10.0.0.1:%d", volume.ExportPortMin+1),
		Portal: fmt.Sprintf("[::1]:%d", volume.ExportPortMin+2)}
	require.EqualValues(t, volume.ExportPortMin+3, freePort(s, own, volume.ExportISCSI))
}
