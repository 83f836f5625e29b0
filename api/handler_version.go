package api

import (
	"context"
	"net/http"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

func (r routes) versions() {
	huma.Register(r.api, r.op("upgrade-cluster", http.MethodPost, "/v1/cluster/upgrade",
		"Use the newest cluster version that every coordinator understands, without the wait", "cluster"),
		func(ctx context.Context, _ *struct{}) (*body[Cluster], error) {
			return answer(r.service.UpgradeCluster(ctx))
		})
}

// knownCalls answers calls that mux does not have, so that a client of another release hears which of the two
// is to be upgraded.
func knownCalls(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		writeError(w, unknownCall(r))
	})
}

func unknownCall(r *http.Request) *Error {
	asked, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if regexp.MustCompile(`^v[0-9]+$`).MatchString(asked) && asked != "v"+Version {
		return Errorf(CodeInvalid, "cluster", "use a client of a release that speaks it, or upgrade the cluster",
			"version %s of the API was asked for; this cluster speaks version %s", asked[1:], Version)
	}
	return Errorf(CodeInvalid, "cluster", "a client of a newer release asked for it? upgrade the nodes, or use "+
		"a client of their release", "this cluster's API has no %s %s", r.Method, r.URL.Path)
}
