package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// replace lets a storage node die with its disk and gives its place to a fresh one, while the guest
// writes on.
func (s *show) replace(ctx context.Context) error {
	if err := s.cluster.Kill(lostNode); err != nil {
		return err
	}
	died := time.Now()
	if err := s.cluster.Wipe(lostNode); err != nil {
		return err
	}
	s.say("%s is killed (SIGKILL) and its disk wiped", lostNode)
	alone := s.watcher.highest()
	if _, err := s.watcher.await(ctx, "the guest's next flush on one leg", func(l LogLine) bool {
		return l.Event == "flushed" && l.Next > alone
	}); err != nil {
		return err
	}
	s.measure("storage node's death → writes go on without it", time.Since(died))
	s.say("the leg on %s left the in-sync list; the guest writes on", lostNode)

	if err := s.cluster.Add(devcluster.NodeSpec{
		Name: freshNode, Roles: []raft.Role{raft.RoleCoordinator, raft.RoleStorage}}); err != nil {
		return err
	}
	if err := s.cluster.Start(ctx, freshNode); err != nil {
		return err
	}
	s.say("%s is here with an empty disk: holdfast node replace %s %s", freshNode, lostNode, freshNode)
	return s.rebuild(ctx)
}

func (s *show) rebuild(ctx context.Context) error {
	before, began := s.watcher.highest(), time.Now()
	err := s.client.ReplaceNode(ctx, lostNode, api.ReplaceNode{New: freshNode}, s.progress)
	s.endProgress()
	if err != nil {
		return err
	}
	took := time.Since(began)
	s.measure("node replace, all of it", took)
	s.measured = append(s.measured, measurement{"rebuild of " + volume.FormatSize(volumeSize) + " under load",
		fmt.Sprintf("%.0f MB/s", volumeSize/1e6/took.Seconds())})
	if written := s.watcher.highest() - before; written > 0 {
		s.say("the guest flushed %d more records meanwhile", written)
	}
	return nil
}
