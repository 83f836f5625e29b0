package raft

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	hraft "github.com/hashicorp/raft"

	"github.com/holdfast-storage/holdfast/volume"
)

// A raft group is the coordinators of one incarnation. Coordinators that were restored are another group than
// those before, although their nodes are the same: a leader of before must not write into the log of a member
// that was restored, nor get its vote. So each data directory knows its group, and members talk to each other
// only within it: the name of the group is the protocol that they agree on in the TLS handshake (ALPN).
//
// A directory of a release that knew no groups has none, and talks to its like alone.

// groupFile says of which group a data directory is.
const groupFile = "group.json"

type groupRecord struct {
	Group   volume.ClusterID `json:"group,omitzero"`
	Waiting bool             `json:"waiting,omitempty"` // it takes the group of the first member that calls
	Fresh   bool             `json:"fresh,omitempty"`   // no member has run on the directory
}

// Group is the group of a coordinator's data directory. It is safe for use by many goroutines. While a member runs on
// a directory there is to be one Group of it, which writes all of it: whoever has it hands it to Open.
type Group struct {
	dir string
	mu  sync.Mutex // guards rec, also while it is written
	rec groupRecord
}

// ErrNoData means that a node has no coordinator data, not even such as never ran.
var ErrNoData = errors.New("there are no coordinator data")

// Prepare makes the data directory of a coordinator that never ran, without which none starts: a directory
// that is missing may have been lost, with promises in it. group is that of the first members of a new
// cluster, or of one that was restored; zero is for a coordinator that is to be added to one, and takes the
// group of whoever adds it. A directory that is there already is an error.
func Prepare(dir string, group volume.ClusterID) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("prepare coordinator data: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("prepare coordinator data: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("prepare coordinator data: %s is not empty", dir)
	}
	g := &Group{dir: dir}
	return g.write(groupRecord{Group: group, Waiting: group.IsZero(), Fresh: true})
}

// OpenGroup reads the group of a data directory. It is ErrNoData when nothing is there.
func OpenGroup(dir string) (*Group, error) {
	g := &Group{dir: dir}
	text, err := os.ReadFile(filepath.Join(dir, groupFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(filepath.Join(dir, identityFile)); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", dir, ErrNoData)
		}
		return g, nil // of an older release
	}
	if err == nil {
		err = decodeStrict(text, &g.rec)
	}
	if err != nil {
		return nil, damaged(filepath.Join(dir, groupFile), err)
	}
	return g, nil
}

// groupOf returns the group of a directory: the caller's, which then writes all that is to be noted, else as it stands
// there. It is nil for a directory with no data.
func groupOf(dir string, callers *Group) (*Group, error) {
	if callers != nil {
		if filepath.Clean(callers.dir) != filepath.Clean(dir) {
			return nil, fmt.Errorf("open coordinator data: %s is not the directory of the group, which is %s", dir,
				callers.dir)
		}
		return callers, nil
	}
	g, err := OpenGroup(dir)
	if errors.Is(err, ErrNoData) {
		return nil, nil
	}
	return g, err
}

// checkFresh refuses a directory that a member has run on, and that has lost the rest. It is nil for one with no data:
// whoever opens it says that it is new.
func (g *Group) checkFresh() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.rec.Fresh {
		return damaged(filepath.Join(g.dir, identityFile), errors.New("it is missing, yet a member has run here"))
	}
	return nil
}

// used notes that a member runs on the directory. It is nil for one with no data.
func (g *Group) used() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.rec.Fresh {
		return nil
	}
	rec := g.rec
	rec.Fresh = false
	return g.write(rec)
}

// ID returns the group, zero when there is none yet.
func (g *Group) ID() volume.ClusterID {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.rec.Group
}

// Waiting reports whether the coordinator waits to be added to a group.
func (g *Group) Waiting() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.rec.Waiting
}

// write makes a record so. The caller holds mu.
func (g *Group) write(rec groupRecord) error {
	text, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("write %s: %w", groupFile, err)
	}
	temp := filepath.Join(g.dir, groupFile+".new")
	if err := writeSynced(temp, append(text, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", groupFile, err)
	}
	if err := os.Rename(temp, filepath.Join(g.dir, groupFile)); err != nil {
		return fmt.Errorf("write %s: %w", groupFile, err)
	}
	g.rec = rec
	return syncDir(g.dir)
}

// groupProtocol begins the name of a group's protocol.
const groupProtocol = "holdfast-raft/"

// errOtherGroup ends a handshake between coordinators that are not of one group.
var errOtherGroup = errors.New("the other coordinator is of another group: its cluster, or this one, was restored; " +
	"run holdfast cluster rejoin on the one that is older")

// Bind returns a TLS configuration for connections between the members of the group. It works for both ends.
// Whoever accepts a connection also asks Admit when its handshake is over.
func (g *Group) Bind(config *tls.Config) *tls.Config {
	bound := config.Clone()
	bound.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		answer := config.Clone()
		if config.GetConfigForClient != nil {
			own, err := config.GetConfigForClient(hello)
			if err != nil {
				return nil, err
			}
			if own != nil {
				answer = own.Clone()
			}
		}
		bind(answer, g.answer(hello.SupportedProtos))
		return answer, nil
	}
	bind(bound, g.protocol())
	return bound
}

// bind makes a configuration refuse whoever does not name the protocol; "" is for who names none.
func bind(config *tls.Config, protocol string) {
	config.NextProtos = nil
	if protocol != "" {
		config.NextProtos = []string{protocol}
	}
	verify := config.VerifyConnection
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if state.NegotiatedProtocol != protocol {
			return errOtherGroup
		}
		if verify != nil {
			return verify(state)
		}
		return nil
	}
}

// protocol is the name of the group's protocol, empty while there is no group.
func (g *Group) protocol() string {
	if id := g.ID(); !id.IsZero() {
		return groupProtocol + id.String()
	}
	return ""
}

// answer chooses the protocol of one handshake that another member began. It changes nothing: who began it
// has shown no certificate yet.
func (g *Group) answer(offered []string) string {
	if g.Waiting() {
		for _, p := range offered {
			if _, err := parseProtocol(p); err == nil {
				return p
			}
		}
	}
	return g.protocol()
}

func parseProtocol(p string) (volume.ClusterID, error) {
	text, ok := strings.CutPrefix(p, groupProtocol)
	if !ok {
		return volume.ClusterID{}, fmt.Errorf("%q is no protocol of a group of coordinators", p)
	}
	id, err := volume.ParseUUID(text)
	if err != nil {
		return volume.ClusterID{}, fmt.Errorf("another coordinator names the group %q: %w", p, err)
	}
	return volume.ClusterID{UUID: id}, nil
}

// Admit says whether a connection that another member began is of the group. A coordinator that waits to be
// added takes the group of the first one, for good. So the handshake must be over: before its end, which is
// after VerifyConnection, a caller has shown a certificate, but not that the key is its own.
func (g *Group) Admit(state tls.ConnectionState) error {
	if !state.HandshakeComplete {
		return errors.New("the other coordinator has not shown yet who it is")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rec.Waiting && state.NegotiatedProtocol != "" {
		return g.adopt(state.NegotiatedProtocol)
	}
	want := ""
	if !g.rec.Group.IsZero() {
		want = groupProtocol + g.rec.Group.String()
	}
	if state.NegotiatedProtocol != want {
		return errOtherGroup
	}
	return nil
}

// adopt takes the group that a protocol names. The caller holds mu.
func (g *Group) adopt(protocol string) error {
	id, err := parseProtocol(protocol)
	if err != nil {
		return err
	}
	return g.write(groupRecord{Group: id, Fresh: g.rec.Fresh})
}

// A restored state stands at an index and a term that no log begins with, so that no other member can seem to
// have it: each gets the snapshot.
const (
	restoredIndex = 1000
	restoredTerm  = 1000
)

// InstallRestored makes of a directory that is new or empty the data of the only member of a restored group,
// with this state. Nothing else makes a member that knows of a state without a log.
func InstallRestored(dir string, member Member, s *State) error {
	if err := Prepare(dir, s.Cluster.Incarnation); err != nil {
		return err
	}
	st, err := openStore(dir, nil, member.ID, newHclog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	_, trans := hraft.NewInmemTransport(hraft.ServerAddress(member.Addr)) // to write addresses with
	configuration := hraft.Configuration{Servers: []hraft.Server{{
		ID: hraft.ServerID(member.ID.String()), Address: hraft.ServerAddress(member.Addr)}}}
	sink, err := st.snaps.Create(hraft.SnapshotVersionMax, restoredIndex, restoredTerm, configuration, restoredIndex,
		trans)
	if err == nil {
		if err = WriteSnapshot(sink, s, restoredIndex); err != nil {
			err = errors.Join(err, sink.Cancel())
		} else {
			err = sink.Close()
		}
	}
	if err == nil {
		err = syncDir(filepath.Join(dir, snapshotsDir))
	}
	if err == nil {
		st.id.State = stateReady
		if err = st.id.write(dir); err == nil {
			err = st.group.used()
		}
	}
	if err = errors.Join(err, st.close()); err != nil {
		return fmt.Errorf("install restored coordinator data in %s: %w", dir, err)
	}
	return nil
}
