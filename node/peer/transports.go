package peer

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/volume"
)

// Transports reach nodes over HTTPS, each by connections on which that node has shown its certificate: who took over
// the address of another one, with a certificate of its own, is told nothing. It is safe for concurrent use.
type Transports struct {
	settings *tls.Config // nil only for plain tests
	log      *slog.Logger
	build    func(*tls.Config) *http.Transport

	mu     sync.Mutex // guards what follows
	byNode map[volume.NodeID]*http.Transport
	told   map[volume.NodeID]time.Time // when it was logged that another one answered
}

// NewTransports returns transports that build makes for the settings of each node. settings are this node's, as
// identity.ClientTLS returns them. It is logged, once a minute, when another node answers than was called; a nil logger
// discards.
func NewTransports(settings *tls.Config, log *slog.Logger, build func(*tls.Config) *http.Transport) *Transports {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Transports{settings: settings, log: log, build: build, byNode: map[volume.NodeID]*http.Transport{},
		told: map[volume.NodeID]time.Time{}}
}

// To returns the transport to one node. The zero id reaches any node.
func (t *Transports) To(node volume.NodeID) http.RoundTripper {
	t.mu.Lock()
	defer t.mu.Unlock()
	to := t.byNode[node]
	if to == nil {
		settings := t.settings
		if settings != nil {
			settings = t.telling(identity.OnlyNode(settings, node), node)
		}
		to = t.build(settings)
		t.byNode[node] = to
	}
	return to
}

// tellEvery is how often it is logged of one node that another one answers.
const tellEvery = time.Minute

// telling returns settings that log who answers where another node was called.
func (t *Transports) telling(c *tls.Config, node volume.NodeID) *tls.Config {
	verify := c.VerifyConnection
	if verify == nil {
		return c
	}
	c.VerifyConnection = func(s tls.ConnectionState) error {
		err := verify(s)
		var wrong *identity.WrongNodeError
		if !errors.As(err, &wrong) {
			return err
		}
		t.mu.Lock()
		last, told := t.told[node]
		now := time.Now()
		tell := !told || now.Sub(last) >= tellEvery
		if tell {
			t.told[node] = now
		}
		t.mu.Unlock()
		if tell {
			t.log.Warn("another node has the address of the one that was called: nothing was told to it", "error", err)
		}
		return err
	}
	return c
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
