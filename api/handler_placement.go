package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// placement registers what says where legs may be.
func (r routes) placement() {
	type node struct {
		Name string `path:"name" doc:"name or id"`
		Body SetNode
	}
	huma.Register(r.api, r.op("set-node", http.MethodPatch, "/v1/nodes/{name}", "Change what is known of a node",
		"nodes"),
		func(ctx context.Context, in *node) (*body[Node], error) {
			return answer(r.service.SetNode(ctx, in.Name, in.Body))
		})
	type cluster struct{ Body SetCluster }
	huma.Register(r.api, r.op("set-cluster", http.MethodPatch, "/v1/cluster", "Change settings of the cluster",
		"cluster"),
		func(ctx context.Context, in *cluster) (*body[Cluster], error) {
			return answer(r.service.SetCluster(ctx, in.Body))
		})
}
