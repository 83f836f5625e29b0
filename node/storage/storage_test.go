package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/target"
	"github.com/holdfast-storage/holdfast/volume"
)

// node is a storage node under test: its directories, and what it has reported.
type node struct {
	t       *testing.T
	dir     string
	options Options
	manager *Manager
	rev     uint64

	mu          sync.Mutex
	reports     []raft.Command
	unheard     error // what Report answers
	incarnation volume.ClusterID
}

func newNode(t *testing.T) *node {
	dir := t.TempDir()
	n := &node{t: t, dir: dir, incarnation: volume.NewClusterID()}
	n.options = Options{
		Node: volume.NewNodeID(), NodeKey: volume.NodeKey{1}, RecordFile: filepath.Join(dir, "storage.json"),
		BootIDFile: filepath.Join(dir, "boot_id"), Report: n.report, CheckEvery: 10 * time.Millisecond,
		RetryEvery: time.Millisecond,
	}
	n.boot("boot 1")
	n.addStore("disk0")
	n.start()
	return n
}

func (n *node) boot(id string) {
	require.NoError(n.t, os.WriteFile(n.options.BootIDFile, []byte(id+"\n"), 0o600))
}

func (n *node) addStore(name string) {
	path := filepath.Join(n.dir, name)
	require.NoError(n.t, os.Mkdir(path, 0o700))
	n.options.Stores = append(n.options.Stores, StoreConfig{Name: name, Path: path})
}

func (n *node) start() {
	m, err := New(n.options)
	require.NoError(n.t, err)
	n.manager = m
	n.t.Cleanup(func() { _ = m.Close() })
}

func (n *node) restart() {
	require.NoError(n.t, n.manager.Close())
	n.start()
}

func (n *node) report(_ context.Context, c raft.Command) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.unheard == nil {
		n.reports = append(n.reports, c)
	}
	return n.unheard
}

// heard returns the reports since the last call.
func (n *node) heard() []raft.Command {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := n.reports
	n.reports = nil
	return out
}

func (n *node) assign(orders ...peer.LegOrder) error {
	n.rev++
	n.manager.Assign(peer.Assignment{Revision: n.rev, Registered: true,
		Lineage: peer.Lineage{Incarnation: n.incarnation},
		Legs:    orders})
	return n.manager.Reconcile(n.t.Context())
}

func (n *node) order(action peer.LegAction) peer.LegOrder {
	return peer.LegOrder{
		Leg: volume.NewLegID(), Store: n.manager.Stores()[0].ID, Action: action, Volume: volume.NewID(),
		VolumeName: "root",
		SizeBytes:  1 << 20, Layout: volume.Mirror(2), Durability: volume.DurabilityFlush,
		DataGen: volume.NewUUID(),
	}
}

// provisioned returns the order to keep a leg that was just made.
func (n *node) provisioned() peer.LegOrder {
	o := n.order(peer.LegProvision)
	require.NoError(n.t, n.assign(o))
	n.heard()
	o.Action = peer.LegKeep
	require.NoError(n.t, n.assign(o))
	return o
}

func (n *node) status(leg volume.LegID) peer.LegStatus {
	for _, s := range n.manager.Status() {
		for _, l := range s.Legs {
			if l.ID == leg {
				return l
			}
		}
	}
	return peer.LegStatus{}
}

func TestOrders_provisionKeepDelete(t *testing.T) {
	n := newNode(t)
	o := n.order(peer.LegProvision)
	require.NoError(t, n.assign(o))
	require.Equal(t, []raft.Command{{LegProvisioned: &raft.LegProvisioned{Volume: o.Volume, Leg: o.Leg}}},
		n.heard())
	require.NoError(t, n.assign(o))
	require.Empty(t, n.heard(), "it was heard once")
	o.Action = peer.LegKeep
	require.NoError(t, n.assign(o))
	n.restart()
	require.NoError(t, n.assign(o))
	require.Empty(t, n.heard())
	require.Equal(t, peer.LegOK, n.status(o.Leg).State)
	o.Action = peer.LegDelete
	require.NoError(t, n.assign(o))
	require.Equal(t, []raft.Command{{LegDeleted: &raft.LegDeleted{Leg: o.Leg}}}, n.heard())
	require.NoDirExists(t, filepath.Join(n.dir, "disk0", "legs", o.Leg.String()))
	n.restart()
	require.NoError(t, n.assign(o))
	require.Len(t, n.heard(), 1, "a leg that is not there is deleted")
}

func TestOrders_reportIsRepeatedUntilItIsHeard(t *testing.T) {
	n := newNode(t)
	n.unheard = errors.New("no coordinator")
	o := n.order(peer.LegProvision)
	require.ErrorContains(t, n.assign(o), "no coordinator")
	require.Equal(t, peer.LegOK, n.status(o.Leg).State)
	n.mu.Lock()
	n.unheard = nil
	n.mu.Unlock()
	require.NoError(t, n.manager.Reconcile(t.Context()))
	require.Len(t, n.heard(), 1)
}

func TestKeep_aMissingLegIsLostAndNeverMade(t *testing.T) {
	n := newNode(t)
	o := n.provisioned()
	require.NoError(t, n.manager.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(n.dir, "disk0", "legs", o.Leg.String())))
	n.start()
	require.NoError(t, n.assign(o))
	reports := n.heard()
	require.Len(t, reports, 1)
	require.Equal(t, o.Leg, reports[0].LegLost.Leg)
	require.Contains(t, reports[0].LegLost.Reason, "directory is missing")
	require.Equal(t, peer.LegMissing, n.status(o.Leg).State)
	require.NoError(t, n.assign(o))
	require.Empty(t, n.heard())
	require.NoDirExists(t, filepath.Join(n.dir, "disk0", "legs", o.Leg.String()))
}

func TestKeep_whatContradictsTheOrderIsNotServed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*peer.LegOrder)
		state  peer.LegCondition
	}{
		"lineage":     {func(o *peer.LegOrder) { o.DataGen = volume.NewUUID() }, peer.LegQuarantined},
		"volume":      {func(o *peer.LegOrder) { o.Volume = volume.NewID() }, peer.LegQuarantined},
		"size":        {func(o *peer.LegOrder) { o.SizeBytes *= 2 }, peer.LegQuarantined},
		"rolled back": {func(o *peer.LegOrder) { o.FloorEpoch = 5 }, peer.LegBad},
		"store":       {func(o *peer.LegOrder) { o.Store = volume.NewStoreID() }, peer.LegMissing},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			o := n.provisioned()
			c.change(&o)
			require.NoError(t, n.assign(o))
			require.Empty(t, n.heard(), "nothing of it is lost for good: the right disk may come back")
			s := n.status(o.Leg)
			require.Equal(t, c.state, s.State)
			require.NotEmpty(t, s.Error)
			_, err := n.manager.Credentials(t.Context(), attempt(o.Leg, 9, volume.NewAttachID()))
			refused := (*target.Refusal)(nil)
			require.ErrorAs(t, err, &refused)
			require.Empty(t, refused.TextKeys, "no refusal but an older epoch looks like a fence")
		})
	}
}

func TestQuarantine_unknownLegsAreKeptNotServed(t *testing.T) {
	n := newNode(t)
	o := n.provisioned()
	require.NoError(t, n.assign())
	require.Equal(t, peer.LegQuarantined, n.status(o.Leg).State)
	require.DirExists(t, filepath.Join(n.dir, "disk0", "legs", o.Leg.String()))
	_, err := n.manager.Credentials(t.Context(), attempt(o.Leg, 9, volume.NewAttachID()))
	require.Error(t, err)
	require.NoError(t, n.assign(o), "raft knows it again")
	require.Equal(t, peer.LegOK, n.status(o.Leg).State)
}

func TestAssign_anOlderOneOrThatOfAStrangerChangesNothing(t *testing.T) {
	n := newNode(t)
	o := n.provisioned()
	same := peer.Lineage{Incarnation: n.incarnation}
	n.manager.Assign(peer.Assignment{Revision: n.rev - 1, Registered: true, Lineage: same})
	n.manager.Assign(peer.Assignment{Revision: n.rev + 1, Lineage: same})
	require.NoError(t, n.manager.Reconcile(t.Context()))
	require.Equal(t, peer.LegOK, n.status(o.Leg).State)
}

// The revisions of coordinators that were restored begin anew, and they do not know what was reported to those before.
func TestAssign_coordinatorsThatWereRestored(t *testing.T) {
	n := newNode(t)
	o := n.provisioned()
	o.Action = peer.LegProvision // their backup is older than the report of it
	reports := len(n.heard())
	restored := peer.Assignment{Revision: n.rev - 1, Registered: true, Legs: []peer.LegOrder{o},
		Former:  []volume.ClusterID{n.incarnation},
		Lineage: peer.Lineage{Incarnation: volume.NewClusterID(), Generation: 1}}
	n.manager.Assign(restored)
	require.NoError(t, n.manager.Reconcile(t.Context()))
	require.Equal(t, peer.LegOK, n.status(o.Leg).State)
	require.Len(t, n.heard(), reports+1)

	n.manager.Assign(peer.Assignment{Revision: n.rev + 100, Registered: true,
		Lineage: peer.Lineage{Incarnation: n.incarnation}})
	require.NoError(t, n.manager.Reconcile(t.Context()))
	require.Equal(t, peer.LegOK, n.status(o.Leg).State, "those of before are not followed any more")
}

func TestStores_anEmptyDirectoryIsNotTheStoreThatWasThere(t *testing.T) {
	n := newNode(t)
	o := n.provisioned()
	require.NoError(t, n.manager.Close())
	path := filepath.Join(n.dir, "disk0")
	require.NoError(t, os.Rename(path, path+".away"))
	require.NoError(t, os.Mkdir(path, 0o700))
	n.start()
	require.Error(t, n.assign(o))
	require.Empty(t, n.heard(), "a disk that is not mounted is not lost")
	require.Equal(t, o.Store, n.manager.Stores()[0].ID, "raft still hears of it")
	require.Equal(t, peer.LegMissing, n.status(o.Leg).State)
	require.Contains(t, n.manager.Status()[0].Error, "mount its disk")
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Rename(path+".away", path))
	require.NoError(t, n.manager.Reconcile(t.Context()), "it came back")
	require.Equal(t, peer.LegOK, n.status(o.Leg).State)
}

func TestStores_belongToOneNodeAndOneName(t *testing.T) {
	n := newNode(t)
	require.NoError(t, n.manager.Close())
	stranger := n.options
	stranger.Node, stranger.RecordFile = volume.NewNodeID(), filepath.Join(n.dir, "other.json")
	m, err := New(stranger)
	require.NoError(t, err)
	require.Contains(t, m.Status()[0].Error, "belongs to node")
	require.NoError(t, m.Close())
	twice := n.options
	twice.Stores = append(twice.Stores, StoreConfig{Name: "disk1", Path: twice.Stores[0].Path})
	m, err = New(twice)
	require.NoError(t, err)
	require.Contains(t, m.Status()[1].Error, "in use")
	require.NoError(t, m.Close())
	twice.Stores[1] = StoreConfig{Name: "disk2", Path: t.TempDir()} // a copy would have the witness of the other
	require.NoError(t, os.CopyFS(twice.Stores[1].Path, os.DirFS(twice.Stores[0].Path)))
	m, err = New(twice)
	require.NoError(t, err)
	require.Contains(t, m.Status()[1].Error, "a copy")
	require.NoError(t, m.Close())
}

func TestNew_refusesWrongOptions(t *testing.T) {
	_, err := New(Options{Stores: []StoreConfig{{Name: "Bad Name"}, {Name: "a"}, {Name: "a"}},
		CheckEvery: -1})
	for _, fault := range []string{"node identity", "CHAP key", "record file", "Bad Name", "twice",
		"interval"} {
		require.ErrorContains(t, err, fault)
	}
	n := newNode(t)
	require.NoError(t, os.WriteFile(n.options.RecordFile, []byte("{torn"), 0o600))
	_, err = New(n.options)
	require.ErrorContains(t, err, "storage.json")
}

// TestStatus_anOpenStoreHasItsSpace: what is said of a store before its first check is what the coordinators place by;
// one that said nothing of its space would be taken for full.
func TestStatus_anOpenStoreHasItsSpace(t *testing.T) {
	for _, s := range newNode(t).manager.Status() {
		require.Positive(t, s.TotalBytes, s.Name)
		require.Positive(t, s.FreeBytes, s.Name)
	}
}

// Run carries out an assignment and checks the legs by itself.
func TestRun_checksTheLegs(t *testing.T) {
	n := newNode(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { n.manager.Run(ctx); close(done) }()
	o := n.order(peer.LegProvision)
	n.manager.Assign(peer.Assignment{Revision: 1, Lineage: peer.Lineage{Incarnation: n.incarnation}, Registered: true,
		Legs: []peer.LegOrder{o}})
	require.Eventually(t, func() bool {
		s := n.manager.Status()[0]
		return n.status(o.Leg).State == peer.LegOK && s.TotalBytes > 0 && s.FreeBytes > 0
	}, 10*time.Second, time.Millisecond)
	label, err := os.OpenFile(filepath.Join(n.dir, "disk0", "legs", o.Leg.String(), "label"), os.O_RDWR, 0)
	require.NoError(t, err)
	for _, slot := range []int64{0, 4096} {
		_, err = label.WriteAt([]byte("rotten"), slot+64)
		require.NoError(t, err)
	}
	require.NoError(t, label.Close())
	require.Eventually(t, func() bool { return n.status(o.Leg).State == peer.LegBad }, 10*time.Second,
		time.Millisecond)
	require.Contains(t, n.status(o.Leg).Error, "label is corrupt")
	cancel()
	<-done
}

func TestOverdue_aDiskThatHangsIsNotOK(t *testing.T) {
	n := newNode(t)
	o := n.provisioned()
	n.manager.mu.Lock()
	n.manager.stores[0].checkStarted = time.Now().Add(-4 * n.options.CheckEvery)
	n.manager.mu.Unlock()
	require.Equal(t, peer.LegBad, n.status(o.Leg).State)
	require.Contains(t, n.manager.Status()[0].Error, "has not answered")
}

// TestTold: the node says that it has told of every leg on its disks once the coordinators have heard of each that
// they do not know, and only to those.
func TestTold(t *testing.T) {
	n := newNode(t)
	o := n.provisioned()
	n.heard()
	require.Zero(t, n.manager.Told(), "nobody asked")
	adopt := func() error {
		n.rev++
		n.manager.Assign(peer.Assignment{Revision: n.rev, Registered: true, Adopt: true,
			Lineage: peer.Lineage{Incarnation: n.incarnation}})
		return n.manager.Reconcile(t.Context())
	}
	n.unheard = errors.New("no coordinator")
	require.Error(t, adopt())
	require.Zero(t, n.manager.Told(), "the coordinators have not heard of the leg")
	n.unheard = nil
	require.NoError(t, adopt())
	require.Equal(t, o.Leg, n.heard()[0].AdoptLeg.Label.LegID)
	require.Equal(t, n.incarnation, n.manager.Told())

	n.incarnation = volume.NewClusterID() // they were restored again
	require.NotEqual(t, n.incarnation, n.manager.Told())
	require.NoError(t, adopt())
	require.Equal(t, n.incarnation, n.manager.Told())
	n.restart()
	require.Zero(t, n.manager.Told())
	n.options.Stores = append(n.options.Stores, StoreConfig{Name: "gone", Path: filepath.Join(n.dir, "gone")})
	n.restart()
	require.Error(t, adopt())
	require.Zero(t, n.manager.Told(), "what is on a store that cannot be opened is not known")
}
