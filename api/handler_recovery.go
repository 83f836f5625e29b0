package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// PathBackup answers with a backup of the coordinators' state, which holds secrets.
const PathBackup = "/v1/cluster/backup"

// recovery has what an operator needs when the cluster cannot help itself.
func (r routes) recovery() {
	type unfreeze struct {
		Name string `path:"name" doc:"name or id"`
		Body Unfreeze
	}
	huma.Register(r.api, r.op("unfreeze-volume", http.MethodPost, "/v1/volumes/{name}/unfreeze",
		"Let a frozen volume be attached again, once all of its legs have answered", "volumes"),
		func(ctx context.Context, in *unfreeze) (*body[Volume], error) {
			return answer(r.service.UnfreezeVolume(ctx, in.Name, in.Body))
		})
	type promote struct {
		Name string `path:"name" doc:"name or id"`
		Body Promote
	}
	huma.Register(r.api, r.op("promote-leg", http.MethodPost, "/v1/volumes/{name}/promote",
		"Let a volume go on from one leg alone; the others are given up, and kept", "volumes"),
		func(ctx context.Context, in *promote) (*body[Volume], error) {
			return answer(r.service.PromoteLeg(ctx, in.Name, in.Body))
		})
	type file struct {
		ContentType string `header:"Content-Type"`
		Body        []byte
	}
	huma.Register(r.api, r.op("backup-cluster", http.MethodGet, PathBackup,
		"A backup of the coordinators' state, with all of its secrets", "cluster"),
		func(ctx context.Context, _ *struct{}) (*file, error) {
			data, err := r.service.Backup(ctx)
			if err != nil {
				return nil, asError(err)
			}
			return &file{ContentType: "application/octet-stream", Body: data}, nil
		})
	huma.Register(r.api, r.op("end-restore", http.MethodPost, "/v1/cluster/end-restore",
		"Say that every leg was found after a restore: volumes go on, and legs that nobody knows are only kept",
		"cluster"),
		func(ctx context.Context, in *struct{ Body EndRestore }) (*nothing, error) {
			return done(r.service.EndRestore(ctx, in.Body))
		})
}
