package coordinator

import (
	"context"
	"strings"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
)

// UpgradeCluster raises the cluster version at once, if every coordinator understands a higher one.
func (s service) UpgradeCluster(ctx context.Context) (api.Cluster, error) {
	next, err := reading(s, func(v *control.View) (int, error) {
		if len(v.Members) == 0 {
			return 0, notLeading()
		}
		next, against := v.NextVersion()
		if next <= v.State.Version && len(against) > 0 {
			return 0, api.Errorf(api.CodeBusy, "cluster", "upgrade and start them, then ask again",
				"the cluster stays at version %d: %s", v.State.Version, standAgainst(v))
		}
		return next, nil
	})
	if err != nil {
		return api.Cluster{}, err
	}
	_, err = s.propose(ctx, "cluster", raft.Command{RaiseVersion: &raft.RaiseVersion{To: next}})
	if err != nil {
		return api.Cluster{}, err
	}
	return s.Cluster(ctx)
}

// standAgainst says which coordinators do not understand a higher version, or are not heard.
func standAgainst(v *control.View) string {
	_, against := v.NextVersion()
	names := make([]string, len(against))
	for i, id := range against {
		names[i] = v.State.NodeName(id)
	}
	return "not all coordinators say that they understand a higher one: " + strings.Join(names, ", ")
}

// showVersions puts the cluster version into an answer. Who stands against a higher one only the leader hears.
func (s service) showVersions(out *api.Cluster) {
	leading := s.raft.Leading()
	s.look(func(v *control.View) {
		out.Version, out.NextVersion, out.VersionWaitsFor = v.State.Version, v.State.Version, []string{}
		if !leading {
			return
		}
		next, against := v.NextVersion()
		out.NextVersion = next
		for _, id := range against {
			out.VersionWaitsFor = append(out.VersionWaitsFor, v.State.NodeName(id))
		}
	})
}
