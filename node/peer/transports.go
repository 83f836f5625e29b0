package peer

import (
	"crypto/tls"
	"net/http"
	"sync"

	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/volume"
)

// Transports reach nodes over HTTPS, each by connections on which that node has shown its certificate: who took over
// the address of another one, with a certificate of its own, is told nothing. It is safe for concurrent use.
type Transports struct {
	settings *tls.Config // nil only for plain tests
	build    func(*tls.Config) *http.Transport

	mu     sync.Mutex
	byNode map[volume.NodeID]*http.Transport
}

// NewTransports returns transports that build makes for the settings of each node. settings are this node's, as
// identity.ClientTLS returns them.
func NewTransports(settings *tls.Config, build func(*tls.Config) *http.Transport) *Transports {
	return &Transports{settings: settings, build: build, byNode: map[volume.NodeID]*http.Transport{}}
}

// To returns the transport to one node. The zero id reaches any node.
func (t *Transports) To(node volume.NodeID) http.RoundTripper {
	t.mu.Lock()
	defer t.mu.Unlock()
	to := t.byNode[node]
	if to == nil {
		settings := t.settings
		if settings != nil {
			settings = identity.OnlyNode(settings, node)
		}
		to = t.build(settings)
		t.byNode[node] = to
	}
	return to
}

// CloseIdleConnections drops the connections that nobody uses, so that the next calls show this node's certificate as
// it is then.
func (t *Transports) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, to := range t.byNode {
		to.CloseIdleConnections()
	}
}
