package api

import "context"

// UpgradeCluster has the cluster use the newest version that every coordinator understands. Afterwards a
// release that does not understand it can no longer be put back.
func (c *Client) UpgradeCluster(ctx context.Context) (Cluster, error) {
	return post[Cluster](ctx, c, "/v1/cluster/upgrade", Wait{}, nil)
}
