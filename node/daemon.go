package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/coordinator"
	"github.com/holdfast-storage/holdfast/node/host"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/node/image"
	"github.com/holdfast-storage/holdfast/node/metrics"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/node/storage"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/target"
)

// Serve runs the node that a configuration file describes until ctx ends, or a part of it fails for
// good. Engines and guests go on after it. A nil logger discards.
func Serve(ctx context.Context, configFile string, logger *slog.Logger) error {
	c, err := config.Load(configFile)
	if err != nil {
		return err
	}
	d, err := Open(ctx, c, logger)
	if err != nil {
		return fmt.Errorf("node %s: %w", c.Name, err)
	}
	if err := d.Run(ctx); err != nil {
		return fmt.Errorf("node %s: %w", c.Name, err)
	}
	return nil
}

// Daemon is one node with everything open that it needs. Run it once; it closes itself.
type Daemon struct {
	config   *config.Config
	log      *slog.Logger
	identity *identity.Identity
	data     *dataDir
	// generation is which restore of the cluster the node follows.
	generation *generation
	key        chapKey
	client     *peer.Client
	web        *peer.Transports // to other nodes' HTTPS, with this node's certificate
	streams    *peer.Transports // the same by HTTP/1.1, whose connections can become streams

	api, socket net.Listener

	group       *raft.Group              // nil without the role
	members     *memberListener          // nil without the role
	gate        *memberGate              // nil without the role
	raft        *raft.Coordinator        // nil without the role
	coordinator *coordinator.Coordinator // nil without the role
	storage     *storage.Manager         // nil without the role
	target      *target.Server           // nil without the role
	portal      net.Listener
	host        *host.Host // nil without the role
	images      *image.Keeper

	outsiders atomic.Pointer[outsiders] // as the latest assignment has them; nil before the first

	mu    sync.Mutex // protects peers
	peers []peer.Peer

	closers []func() error // in the order of opening
}

// Open takes hold of the node's data and addresses and prepares its roles. It fails, with all of it
// given back, when something is not this node's or in use: then nothing was told to the cluster.
func Open(ctx context.Context, c *config.Config, logger *slog.Logger) (*Daemon, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	d := &Daemon{config: c, log: logger.With("node", c.Name)}
	for _, step := range []func(context.Context) error{
		d.openIdentity, d.openData, d.openListeners, d.openCoordinator, d.openStorage, d.openImages, d.openHost,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, d.close())
		}
	}
	return d, nil
}

// opened notes what close is to give back.
func (d *Daemon) opened(closer func() error) { d.closers = append(d.closers, closer) }

// close gives back everything that was opened, the last first.
func (d *Daemon) close() error {
	var failed []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		if err := d.closers[i](); err != nil && !errors.Is(err, net.ErrClosed) {
			failed = append(failed, err)
		}
	}
	d.closers = nil
	return errors.Join(failed...)
}

func (d *Daemon) openIdentity(context.Context) error {
	id, err := identity.Load(d.config.TLS)
	if err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	if id.Node() != d.config.ID || id.Cluster() != d.config.Cluster.ID {
		return fmt.Errorf("tls: certificate %s is node %s's of cluster %s, "+
			"the configuration is node %s's of cluster %s: issue one for this node",
			d.config.TLS.Cert, id.Node(), id.Cluster(), d.config.ID, d.config.Cluster.ID)
	}
	d.identity = id
	return nil
}

func (d *Daemon) openData(context.Context) error {
	var err error
	if d.data, err = openDataDir(d.config.DataDir, d.config.ID); err != nil {
		return err
	}
	d.opened(d.data.Close)
	if d.key, err = d.data.chapKey(); err != nil {
		return err
	}
	if d.generation, err = d.data.generation(); err != nil {
		return err
	}
	if d.peers, err = d.data.peers(d.config.Peers()); err != nil {
		return err
	}
	if err := os.MkdirAll(d.config.RunDir, 0o700); err != nil {
		return fmt.Errorf("run_dir: %w", err)
	}
	d.client = peer.NewClient(peer.ClientOptions{Peers: d.peers, TLS: d.identity.ClientTLS(),
		Follow: d.generation.lineage(), Logger: d.log})
	d.web = peer.NewTransports(d.identity.ClientTLS(), d.log, func(settings *tls.Config) *http.Transport {
		return &http.Transport{
			TLSClientConfig: settings, TLSHandshakeTimeout: 2 * time.Second,
			DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
			MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
		}
	})
	d.streams = peer.NewTransports(d.identity.ClientTLS(), d.log, func(settings *tls.Config) *http.Transport {
		return &http.Transport{
			TLSClientConfig: settings, TLSHandshakeTimeout: 2 * time.Second,
			DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
			MaxIdleConnsPerHost: 1, IdleConnTimeout: 5 * time.Second,
		}
	})
	d.opened(func() error {
		d.client.Close()
		d.streams.CloseIdleConnections()
		d.web.CloseIdleConnections()
		return nil
	})
	return nil
}

func (d *Daemon) openListeners(ctx context.Context) error {
	var err error
	if d.socket, err = listenUnix(ctx, d.config.APISocket); err != nil {
		return err
	}
	d.opened(d.socket.Close)
	if d.api, err = listenTCP(ctx, "listen.api", d.config.Listen.API); err != nil {
		return err
	}
	d.opened(d.api.Close)
	return nil
}

// handler serves the public API, and to nodes the paths between them.
func (d *Daemon) handlers() (public, peers http.Handler) {
	if d.coordinator != nil {
		return d.coordinator.APIHandler(),
			d.withImages(d.withMigrations(d.withConsoles(d.coordinator.PeerHandler())))
	}
	proxy := api.NewProxy(api.ProxyOptions{Targets: d.otherCoordinators, Reach: d.web.To})
	return proxy, d.withImages(d.withMigrations(d.withConsoles(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			// Whoever asks has an old list of coordinators: it is to ask another one.
			http.Error(w, "this node is no coordinator", http.StatusMisdirectedRequest)
		}))))
}

// withMetrics adds what package metrics shows of the node itself.
func (d *Daemon) withMetrics(public http.Handler) (http.Handler, error) {
	mux := http.NewServeMux()
	var s metrics.Sources
	s.Collectors = append(s.Collectors, d.images.Collectors()...)
	if d.coordinator != nil {
		s.Collectors = append(s.Collectors, d.coordinator.Collectors()...)
	}
	if d.storage != nil {
		s.Collectors = append(s.Collectors, d.storage.Collectors()...)
		s.Collectors = append(s.Collectors, metrics.NewTarget(d.target))
		metrics.HandleTarget(mux, d.target)
	}
	if d.host != nil {
		s.Collectors = append(s.Collectors, d.host.Collectors()...)
		s.Gatherers = append(s.Gatherers, d.host)
	}
	if err := metrics.HandleMetrics(mux, s); err != nil {
		return nil, err
	}
	mux.Handle("/", public)
	return mux, nil
}

// split serves the paths of package peer by one handler and all others by another.
func split(public, peers http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/peer/") {
			peers.ServeHTTP(w, r)
			return
		}
		public.ServeHTTP(w, r)
	})
}

// knownPeers returns the coordinators that the node knows of.
func (d *Daemon) knownPeers() []peer.Peer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.peers
}

// otherCoordinators returns those of them that are not this node.
func (d *Daemon) otherCoordinators() []api.Target {
	var others []api.Target
	for _, p := range d.knownPeers() {
		if p.ID != d.config.ID {
			others = append(others, api.Target{Node: p.ID, Address: p.API})
		}
	}
	return others
}
