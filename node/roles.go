package node

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/netio"
	"github.com/holdfast-storage/holdfast/node/coordinator"
	"github.com/holdfast-storage/holdfast/node/engine"
	"github.com/holdfast-storage/holdfast/node/enroll"
	"github.com/holdfast-storage/holdfast/node/host"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/node/storage"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/target"
	"github.com/holdfast-storage/holdfast/volume"
)

// openCoordinator opens the node's member of the raft group and the role that leads with it.
func (d *Daemon) openCoordinator(ctx context.Context) error {
	if !d.config.Has(raft.RoleCoordinator) {
		return nil
	}
	group, err := d.openGroup()
	if err != nil {
		return err
	}
	l, err := listenTCP(ctx, "listen.raft", d.config.Listen.Raft)
	if err != nil {
		return err
	}
	d.group = group
	first := d.firstMembers() // before anybody can call and tell one that waits its group
	founding, err := enroll.LoadAuthority(d.config.DataDir)
	if err != nil {
		return errors.Join(err, ignoreClosed(l.Close()))
	}
	d.members = newMemberListener(l, group.Bind(d.refuseRemoved(d.identity.ServerTLS())), d.admitMember,
		handshakeDeadline, d.log)
	d.raft, err = raft.Open(raft.Options{
		ID: d.config.ID, Dir: d.data.file("raft"), Group: group, Bootstrap: first,
		Stream: raft.NewStreamLayer(d.members,
			func(ctx context.Context, address string, want volume.NodeID) (net.Conn, error) {
				security := group.Bind(identity.OnlyNode(d.identity.ClientTLS(), want))
				dialer := &tls.Dialer{NetDialer: &net.Dialer{}, Config: security}
				return dialer.DialContext(ctx, "tcp", address)
			}, d.config.Listen.Raft),
		Logger: d.log,
	})
	if err != nil {
		return errors.Join(err, ignoreClosed(d.members.Close()))
	}
	d.opened(d.raft.Close)
	d.coordinator, err = coordinator.New(coordinator.Options{
		Raft: d.raft, Self: d.config.ID, Identify: d.identify, Reach: d.web.To, Others: d.otherCoordinators,
		Cluster: raft.InitCluster{Name: d.config.Cluster.Name, ID: d.config.Cluster.ID,
			Incarnation: d.config.Cluster.Incarnation},
		Authority: founding,
		TRead:     d.config.Timing.TRead,
		Liveness: raft.LivenessOptions{Interval: d.config.Timing.Heartbeat,
			Timeout: d.config.Timing.DeadAfter},
		Logger: d.log,
	})
	if err != nil {
		return err
	}
	d.gate = newMemberGate(d.raft, d.knownPeers, time.Now, d.log)
	d.members.start()
	return nil
}

// firstMembers are the members that the cluster begins with, if this node is one of them. Any other
// coordinator waits until the cluster adds it, and so does one that was made anew after a restore.
func (d *Daemon) firstMembers() []raft.Member {
	var members []raft.Member
	for _, co := range d.config.Coordinators {
		members = append(members, raft.Member{ID: co.ID, Addr: co.Raft})
	}
	first := slices.ContainsFunc(members, func(m raft.Member) bool { return m.ID == d.config.ID })
	if !first || d.group.ID() != d.config.Cluster.Incarnation {
		return nil
	}
	return members
}

// identify returns the node whose certificate a request came with.
func (d *Daemon) identify(r *http.Request) (volume.NodeID, error) {
	if r.TLS == nil {
		return volume.NodeID{}, errors.New("the connection is not between nodes")
	}
	return identity.PeerNode(*r.TLS, d.config.Cluster.ID)
}

// openStorage opens the stores and the portal.
func (d *Daemon) openStorage(ctx context.Context) error {
	if !d.config.Has(raft.RoleStorage) {
		return nil
	}
	options := storage.Options{
		Node: d.config.ID, NodeKey: d.key.Key, RecordFile: d.data.file("stores.json"),
		BootIDFile: d.config.BootIDFile, MemoryDir: cmp.Or(d.config.MemoryDir, d.config.RunDir),
		Report: d.report, Logger: d.log,
	}
	for _, s := range d.config.Stores {
		options.Stores = append(options.Stores, storage.StoreConfig{Name: s.Name, Path: s.Path})
	}
	var err error
	if d.storage, err = storage.New(options); err != nil {
		return err
	}
	d.opened(d.storage.Close)
	if d.portal, err = listenTCP(ctx, "listen.iscsi", d.config.Listen.ISCSI); err != nil {
		return err
	}
	d.opened(d.portal.Close)
	d.target, err = target.New(target.Options{Admission: d.storage, Logger: d.log, Waits: netio.NewWaits()})
	if err != nil {
		return err
	}
	d.opened(func() error {
		stop, cancel := context.WithTimeout(context.Background(), targetStopTimeout)
		defer cancel()
		return d.target.Shutdown(stop)
	})
	return nil
}

// targetStopTimeout is how long the commands in flight may take when the daemon ends.
const targetStopTimeout = 5 * time.Second

// report has a storage node's command committed.
func (d *Daemon) report(ctx context.Context, c raft.Command) error {
	result, err := d.client.Command(ctx, c)
	if err != nil {
		return err
	}
	if result.Err != nil {
		return result.Err
	}
	return nil
}

// openHost prepares the host role.
func (d *Daemon) openHost(context.Context) error {
	if !d.config.Has(raft.RoleHost) {
		return nil
	}
	files := d.config.TLS
	var err error
	d.host, err = host.New(host.Options{
		Node: d.config.ID, RunDir: d.config.RunDir, DataDir: d.config.DataDir,
		Identity: engine.Identity{CertFile: files.Cert, KeyFile: files.Key, CAFile: files.CA},
		Peers:    d.knownPeers, Coordinators: d.client, Reach: d.streams.To, Logger: d.log,
		Images: d.images,
		Drivers: domain.Drivers(domain.Options{
			Env: append(os.Environ(), host.EnvRunDir+"="+d.config.RunDir), Logger: d.log,
		}),
	})
	if err != nil {
		return fmt.Errorf("host role: %w", err)
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
