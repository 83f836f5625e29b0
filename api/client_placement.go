package api

import (
	"context"
	"net/http"
)

// SetNode changes what is known of a node and returns it.
func (c *Client) SetNode(ctx context.Context, name string, r SetNode) (Node, error) {
	var out Node
	err := c.do(ctx, call{method: http.MethodPatch, path: objectPath("nodes", name), body: r, read: decodeTo(&out)})
	return out, err
}

// SetCluster changes settings of the cluster and returns it.
func (c *Client) SetCluster(ctx context.Context, r SetCluster) (Cluster, error) {
	var out Cluster
	err := c.do(ctx, call{method: http.MethodPatch, path: "/v1/cluster", body: r, read: decodeTo(&out)})
	return out, err
}
