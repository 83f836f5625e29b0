package node

import (
	"errors"
	"fmt"
	"os"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// errOutdated means that the node's coordinator is of before a restore of the cluster.
var errOutdated = errors.New("this coordinator is of before the restore of its cluster, and has no say any more: " +
	"run `holdfast cluster rejoin` with this node's configuration, then start the node again")

// openGroup finds the raft group of the node's coordinator. It refuses data that are lost, which may have held
// promises that the others count on, and data of before a restore.
func (d *Daemon) openGroup() (*raft.Group, error) {
	dir := d.data.file("raft")
	group, err := raft.OpenGroup(dir)
	if errors.Is(err, raft.ErrNoData) {
		if d.data.fresh { // it stays the directory of a machine that has lost everything
			err = errors.Join(err, os.Remove(d.data.file("node")))
		}
		return nil, fmt.Errorf("%w: the node has the role coordinator, and votes of it may be promised that it no "+
			"longer knows. If %s is on a disk that is not mounted, mount it. If it is lost, this node is another one "+
			"now: give it a new identity (holdfast cluster join, or a new id and certificate) and let it take the old "+
			"one's place with `holdfast node replace`. Only coordinators that were made anew after a restore of the "+
			"cluster get new data for an old identity, by `holdfast cluster rejoin`", err, dir)
	}
	if err != nil {
		return nil, err
	}
	follows := d.generation.lineage()
	of := group.ID()
	if of.IsZero() {
		of = d.config.Cluster.Incarnation // made before there were groups; or it waits for whoever adds it
	}
	if !follows.Incarnation.IsZero() && follows.Incarnation != of && !group.Waiting() {
		return nil, fmt.Errorf("%w (its data are of %s, the cluster is %s since restore %d)", errOutdated, of,
			follows.Incarnation, follows.Generation)
	}
	// What it joins is remembered outside of the data that may be lost.
	joined, err := d.data.joined()
	if err == nil && !group.ID().IsZero() && joined != group.ID() {
		err = d.data.noteJoined(group.ID())
	}
	return group, err
}

// heed takes in which restore of the cluster a coordinator is of. It returns whether that one has a say, and an
// error if this node's own coordinator has none any more.
func (d *Daemon) heed(heard peer.Lineage) (bool, error) {
	verdict, err := d.generation.follow(heard)
	if err != nil {
		return false, err
	}
	switch verdict {
	case peer.HeardNewer:
		d.log.Info("cluster lineage", "incarnation", heard.Incarnation.String(), "generation", heard.Generation)
		if d.group != nil && d.outdatedBy(heard.Incarnation) {
			return false, errOutdated
		}
	case peer.HeardRival:
		if d.generation.newRival(heard) {
			d.log.Warn("coordinators of another restore of the same generation are heard, and not followed: one of "+
				"the two restores is a mistake; stop the coordinators of that one, or, if it is the right one, "+
				"restore again with a higher --generation",
				"generation", heard.Generation, "incarnation", heard.Incarnation.String())
		}
		return false, nil
	case peer.HeardOutdated:
		return false, nil
	}
	return true, nil
}

// outdatedBy reports whether the node's coordinator is of another group than an incarnation that is newer than
// what the node followed.
func (d *Daemon) outdatedBy(incarnation volume.ClusterID) bool {
	of := d.group.ID()
	if of.IsZero() {
		of = d.config.Cluster.Incarnation
	}
	return of != incarnation && !d.group.Waiting()
}
