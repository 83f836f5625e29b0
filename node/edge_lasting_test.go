package node

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

// A trace that a node looks at on another one ends soon after that node was removed.
func TestEdge_aTraceEndsWithTheRightToIt(t *testing.T) {
	cluster, id := volume.NewClusterID(), volume.NewNodeID()
	cert := certified(t, cluster, id)
	synctest.Test(t, func(t *testing.T) {
		var gone atomic.Bool
		lasts := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			<-r.Context().Done()
		})
		e := &edge{cluster: cluster, next: lasts, strangers: newStrangers(),
			now:    func() time.Time { return cert.NotBefore.Add(time.Minute) },
			untold: func(api.Caller) *api.Error { return nil },
			removed: func(c api.Caller) *api.Error {
				require.Equal(t, id, c.Node)
				if gone.Load() {
					return api.Errorf(api.CodeRefused, "", "", "it left the cluster")
				}
				return nil
			}}
		call := func() *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/target/trace", nil)
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			return w
		}
		ended := make(chan int, 1)
		go func() { ended <- call().Code }()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Empty(t, ended)
		gone.Store(true)
		began := time.Now()
		require.Equal(t, http.StatusOK, <-ended)
		require.Less(t, time.Since(began), 5*time.Second)
		require.Equal(t, http.StatusForbidden, call().Code)
	})
}
