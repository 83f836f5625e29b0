package coordinator

import (
	"crypto/x509"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// A credential is good if the log has it behind what took the others back, and not by when it was signed.
func TestIssueCredential_whatIsTakenBackMeanwhileIsNotGood(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.create("v1")
		state, _ := w.raft.State()
		now := w.c.wallClock().Add(-time.Hour)
		ca, err := identity.NewCA("c", state.Cluster.ID, now)
		require.NoError(t, err)
		cert, key, err := ca.Export()
		require.NoError(t, err)
		_, _, err = w.raft.Apply(t.Context(), raft.Command{SetAuthority: &raft.SetAuthority{Cert: cert, Key: key,
			Lifetime: identity.DefaultLifetime}})
		require.NoError(t, err)
		own, err := identity.NewKey(filepath.Join(t.TempDir(), "key"))
		require.NoError(t, err)
		csr, err := own.GuestRequest()
		require.NoError(t, err)
		issue := func() identity.Guest {
			made, err := w.api.IssueCredential(t.Context(), "v1", api.IssueCredential{CSR: csr, LifetimeSeconds: 60})
			require.NoError(t, err)
			parsed, err := x509.ParseCertificate(made.Cert)
			require.NoError(t, err)
			guest, err := identity.GuestOf(parsed)
			require.NoError(t, err)
			return guest
		}
		_, err = w.api.IssueCredential(t.Context(), "v1", api.IssueCredential{CSR: csr, LifetimeSeconds: 315360000})
		require.NoError(t, err)
		state, _ = w.raft.State()
		require.Contains(t, state.Events[len(state.Events)-1].Message, "valid until "+
			now.Add(10*365*24*time.Hour).UTC().Format(time.RFC3339), "no credential outlives the CA")
		series := func() volume.UUID {
			state, _ := w.raft.State()
			return state.VolumeByName("v1").Credentials
		}
		first := issue().Series
		require.Equal(t, series(), first)
		w.raft.mu.Lock()
		w.raft.behind = func(c raft.Command) []raft.Command {
			if c.IssueCredential == nil {
				return nil
			}
			return []raft.Command{{RevokeCredentials: &raft.RevokeCredentials{Volume: c.IssueCredential.Volume,
				Series: volume.NewUUID()}}}
		}
		w.raft.mu.Unlock()
		require.Equal(t, first, issue().Series, "it was issued before the others were taken back")
		require.NotEqual(t, first, series())
	})
}
