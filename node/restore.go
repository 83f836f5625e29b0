package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"time"

	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/node/rescue"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// RestoreOptions say what coordinators are restored from.
type RestoreOptions struct {
	Backup   string // file; empty means from the labels of legs alone
	FromLegs bool
	// NewCA makes a new CA for the cluster, whose own is lost. Every other node has to join again.
	NewCA bool
	// Generation is the generation that is made; zero is a round number above all that this node knows of.
	Generation uint32
}

// Restored says what a restore made.
type Restored struct {
	Cluster     string           `json:"cluster"`
	Incarnation volume.ClusterID `json:"incarnation"`
	Generation  uint32           `json:"generation"`
	From        string           `json:"from"`
	Volumes     int              `json:"volumes"`
	Nodes       int              `json:"nodes"`
	// Members and APITokens are the names of those that have access again, as they had it then.
	Members   []string `json:"members"`
	APITokens []string `json:"api_tokens"`
	Kept      string   `json:"kept,omitempty"` // where the coordinator data of before are now
	// Authority is whether the coordinators have the cluster's CA. Without it no node can join and no
	// certificate is renewed.
	Authority bool `json:"authority"`
	// Others are the other coordinators that are known: each has to rejoin.
	Others []string `json:"others"`
}

// RestoreCoordinator makes the coordinator of a node, whose daemon does not run, the only one of a cluster that
// goes on from a backup or from the labels of its legs (protocol §1.7.11). The data of before are kept beside
// the new ones. It changes nothing when it fails, but for a certificate that cannot be written: then it has to
// be repeated.
func RestoreCoordinator(ctx context.Context, configFile string, o RestoreOptions) (Restored, error) {
	c, data, err := openStopped(configFile)
	if err != nil {
		return Restored{}, err
	}
	defer func() { _ = data.Close() }() // it only lets go of the lock
	var old *raft.State
	from := "the labels of legs"
	if !o.FromLegs {
		if old, from, err = readBackup(c, o.Backup); err != nil {
			return Restored{}, err
		}
	}
	g, err := data.generation()
	if err != nil {
		return Restored{}, err
	}
	least, err := leastGeneration(ctx, c, g.lineage(), old)
	if err != nil {
		return Restored{}, err
	}
	if o.Generation == 0 {
		o.Generation = generationFor(least)
	}
	if o.Generation < least {
		return Restored{}, fmt.Errorf("generation %d was used before: it has to be %d at least", o.Generation, least)
	}
	r := raft.Restoration{Incarnation: volume.NewClusterID(), Generation: o.Generation, At: time.Now(), From: from}
	var state *raft.State
	if old != nil {
		state, err = raft.Restored(old, r)
	} else {
		state, err = raft.FoundAnew(c.Cluster.Name, c.Cluster.ID, r)
	}
	if err != nil {
		return Restored{}, err
	}
	trust := func() error { return nil }
	if o.NewCA {
		if trust, err = newCA(c, state); err != nil {
			return Restored{}, err
		}
	}
	out := Restored{Cluster: state.Cluster.Name, Incarnation: r.Incarnation, Generation: r.Generation, From: from,
		Volumes: len(state.Volumes), Nodes: len(state.Nodes), Others: otherCoordinators(c, state),
		Authority: state.Authority != nil, Members: []string{}, APITokens: []string{}}
	for _, n := range state.SortedNodes() {
		out.Members = append(out.Members, n.Name)
	}
	for _, token := range state.SortedTokens() {
		out.APITokens = append(out.APITokens, token.Name)
	}
	out.Kept, err = install(data, g, peer.Lineage{Incarnation: r.Incarnation, Generation: r.Generation},
		func(dir string) error {
			return raft.InstallRestored(dir, raft.Member{ID: c.ID, Addr: c.Listen.Raft}, state)
		})
	if err == nil {
		err = trust()
	}
	return out, err
}

// openStopped reads a node's configuration and takes hold of its data, which no daemon may use.
func openStopped(configFile string) (*config.Config, *dataDir, error) {
	c, err := config.Load(configFile)
	if err != nil {
		return nil, nil, err
	}
	if !c.Has(raft.RoleCoordinator) {
		return nil, nil, fmt.Errorf("node %s has no role coordinator", c.Name)
	}
	data, err := openDataDir(c.DataDir, c.ID)
	return c, data, err
}

func readBackup(c *config.Config, file string) (*raft.State, string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = f.Close() }() // only read from
	info, state, err := raft.ReadBackup(f)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", file, err)
	}
	if info.ID != c.Cluster.ID {
		return nil, "", fmt.Errorf("%s is a backup of cluster %s (%s), this node is of %s (%s)", file, info.Cluster,
			info.ID, c.Cluster.Name, c.Cluster.ID)
	}
	return state, "a backup of " + info.At.Format(time.RFC3339), nil
}

// generationStep is the distance of the generations that restores make. Between two of them every promotion of a leg
// makes one: those of after a backup are not known to it, and are left below by a step.
const generationStep = 1000

// generationFor returns the generation of a restore that has to be this one at least.
func generationFor(least uint32) uint32 {
	round := (uint64(least) + generationStep - 1) / generationStep * generationStep
	if round > math.MaxUint32 {
		return least
	}
	return uint32(round)
}

// leastGeneration returns the lowest generation that is above all that this node knows of: what it followed,
// what the backup has, and what the labels on its own disks show.
func leastGeneration(ctx context.Context, c *config.Config, follows peer.Lineage, old *raft.State) (uint32, error) {
	known := uint64(follows.Generation)
	if old != nil {
		known = max(known, uint64(old.Cluster.RestoreGen))
		for _, v := range old.Volumes {
			known = max(known, uint64(v.Epoch)>>32, uint64(v.CfgVer)>>32, uint64(v.SeenEpoch)>>32,
				uint64(v.SeenCfg)>>32)
		}
	}
	var stores []string
	for _, s := range c.Stores {
		if _, err := os.Stat(s.Path); err == nil {
			stores = append(stores, s.Path)
		}
	}
	if len(stores) > 0 {
		found, err := rescue.ScanDirs(ctx, stores, c.BootIDFile)
		if err != nil {
			return 0, fmt.Errorf("look at the labels of this node's legs: %w", err)
		}
		for _, l := range found.Legs {
			known = max(known, uint64(l.Epoch)>>32, uint64(l.CfgVer)>>32)
		}
		if err := found.Close(); err != nil {
			return 0, fmt.Errorf("look at the labels of this node's legs: %w", err)
		}
	}
	if known >= 1<<32-1 {
		return 0, errors.New("there is no generation left")
	}
	return uint32(known) + 1, nil
}

func otherCoordinators(c *config.Config, s *raft.State) []string {
	others := []string{}
	known := map[volume.NodeID]bool{c.ID: true}
	for _, n := range s.SortedNodes() {
		if n.Has(raft.RoleCoordinator) && !known[n.ID] {
			others, known[n.ID] = append(others, n.Name), true
		}
	}
	for _, n := range c.Coordinators {
		if !known[n.ID] {
			others, known[n.ID] = append(others, n.Name), true
		}
	}
	return others
}

// install puts new coordinator data in the place of those that are there, which are kept, and makes the node
// follow a lineage. It returns where the old ones are, empty if there were none. The lineage comes first:
// coordinator data that do not fit it are refused at the start.
func install(data *dataDir, g *generation, follow peer.Lineage, make func(dir string) error) (string, error) {
	fresh, dir := data.file("raft.new"), data.file("raft")
	if err := os.RemoveAll(fresh); err != nil { // of an attempt that failed
		return "", err
	}
	if err := make(fresh); err != nil {
		return "", err
	}
	if err := g.write(follow); err != nil {
		return "", err
	}
	kept := ""
	if _, err := os.Lstat(dir); err == nil {
		kept = fmt.Sprintf("%s.before-%d-%s", dir, follow.Generation, time.Now().UTC().Format("20060102T150405"))
		if err := os.Rename(dir, kept); err != nil {
			return "", err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return kept, err
	}
	return kept, data.sync()
}

// anotherIdentity says what to do with a coordinator that has forgotten what it promised.
const anotherIdentity = "give it a new identity, and let it take the old one's place with `holdfast node replace`"

// SaveBackup checks what the coordinators answered to the request of a backup, and writes it to a new file that
// only its owner reads.
func SaveBackup(data []byte, file string) (raft.BackupInfo, error) {
	info, _, err := raft.ReadBackup(bytes.NewReader(data))
	if err != nil {
		return info, fmt.Errorf("what the coordinators answered is no backup: %w", err)
	}
	return info, durable.CreateFile(file, data, 0o600)
}

// RejoinCoordinator gives the coordinator of a node, whose daemon does not run, new data, with which it waits
// to be added to the coordinators of a restored cluster. It refuses a group that it is or was a member of:
// what it promised there would be forgotten. It returns where the data of before are now.
func RejoinCoordinator(configFile string, to peer.Lineage) (kept string, err error) {
	c, data, err := openStopped(configFile)
	if err != nil {
		return "", err
	}
	defer func() { _ = data.Close() }() // it only lets go of the lock
	g, err := data.generation()
	if err != nil {
		return "", err
	}
	if to.Incarnation.IsZero() {
		to = g.lineage()
	}
	group, err := raft.OpenGroup(data.file("raft"))
	if err != nil && !errors.Is(err, raft.ErrNoData) {
		return "", err
	}
	of := c.Cluster.Incarnation
	if group != nil && !group.ID().IsZero() {
		of = group.ID()
	}
	joined, err := data.joined()
	switch {
	case err != nil:
		return "", err
	case to.Incarnation.IsZero():
		return "", fmt.Errorf("node %s has not heard of a restore: start its daemon once so that it does, or name the "+
			"incarnation and generation that `holdfast cluster restore` printed", c.Name)
	case data.fresh:
		err := os.Remove(data.file("node")) // it stays empty
		return "", errors.Join(err, fmt.Errorf("data_dir %s of node %s is empty: this machine has lost all that made "+
			"it that node; %s", c.DataDir, c.Name, anotherIdentity))
	case of == to.Incarnation && group == nil, joined == to.Incarnation:
		return "", fmt.Errorf("node %s has been a coordinator of incarnation %s: with new data it would break "+
			"promises that the others count on; %s", c.Name, to.Incarnation, anotherIdentity)
	case group != nil && of == to.Incarnation:
		return "", fmt.Errorf("node %s is a coordinator of incarnation %s already: start it", c.Name, to.Incarnation)
	case g.lineage().Judge(to) != peer.HeardSame && g.lineage().Judge(to) != peer.HeardNewer:
		return "", fmt.Errorf("node %s follows incarnation %s of generation %d, which is not older than generation %d",
			c.Name, g.lineage().Incarnation, g.lineage().Generation, to.Generation)
	}
	kept, err = install(data, g, to, func(dir string) error { return raft.Prepare(dir, to.Incarnation) })
	if err != nil {
		return kept, err
	}
	return kept, data.noteJoined(to.Incarnation)
}
