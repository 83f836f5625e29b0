package apply

import (
	"context"
	"errors"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/site/plan"
)

// Client is what is needed of the API; *api.Client has it.
type Client interface {
	Cluster(ctx context.Context) (api.Cluster, error)
	Nodes(ctx context.Context) ([]api.Node, error)
	Volumes(ctx context.Context) ([]api.Volume, error)
	Domains(ctx context.Context) ([]api.Domain, error)
	Images(ctx context.Context) ([]api.Image, error)

	SetCluster(ctx context.Context, r api.SetCluster) (api.Cluster, error)
	SetReplaceAfter(ctx context.Context, r api.SetReplaceAfter) (api.ReplaceAfter, error)
	SetNode(ctx context.Context, name string, r api.SetNode) (api.Node, error)
	ReplaceNode(ctx context.Context, old string, r api.ReplaceNode, progress func(api.Operation) error) error
	AddImage(ctx context.Context, name string, image api.NewImage) (api.ImageVersion, error)
	CreateVolume(ctx context.Context, r api.CreateVolume) (api.Volume, error)
	SetVolume(ctx context.Context, name string, r api.SetVolume) (api.Volume, error)
	DeleteVolume(ctx context.Context, name string, w api.Wait) error
	DefineDomain(ctx context.Context, spec api.DomainSpec) (api.Domain, error)
	DeleteDomain(ctx context.Context, name string) error
	StartDomain(ctx context.Context, name string, w api.Wait) (api.Domain, error)
	StopDomain(ctx context.Context, name string, w api.Wait) (api.Domain, error)
}

// Look asks what there is of what a site speaks of.
func Look(ctx context.Context, c Client, s *site.Site) (plan.Actual, error) {
	var a plan.Actual
	var errs [5]error
	a.Cluster, errs[0] = c.Cluster(ctx)
	if errs[0] != nil {
		return a, errs[0] // nobody answers: once is enough to say it
	}
	a.Nodes, errs[1] = c.Nodes(ctx)
	a.Volumes, errs[2] = c.Volumes(ctx)
	a.Domains, errs[3] = c.Domains(ctx)
	errs[4] = lookAtImages(ctx, c, s, &a)
	return a, errors.Join(errs[:]...)
}
