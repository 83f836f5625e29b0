package apply

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/site/plan"
)

// action does what a step says; name is that of its object.
type action func(ctx context.Context, c Client, s plan.Step, name string) error

// actions says how each kind of step is done.
func actions() map[plan.Kind]action {
	return map[plan.Kind]action{
		plan.SetCluster: func(ctx context.Context, c Client, s plan.Step, _ string) error {
			_, err := c.SetCluster(ctx, *s.Request.Cluster)
			return err
		},
		plan.SetReplaceAfter: func(ctx context.Context, c Client, s plan.Step, _ string) error {
			r := *s.Request.ReplaceAfter
			r.Volume = cmp.Or(s.ID, r.Volume)
			_, err := c.SetReplaceAfter(ctx, r)
			return err
		},
		plan.SetNode: func(ctx context.Context, c Client, s plan.Step, name string) error {
			_, err := c.SetNode(ctx, cmp.Or(s.ID, name), *s.Request.Node)
			return err
		},
		plan.JoinNode:      byItsMachine,
		plan.ConfigureNode: byItsMachine,
		plan.ReplaceNode: func(ctx context.Context, c Client, s plan.Step, name string) error {
			return c.ReplaceNode(ctx, cmp.Or(s.ID, name), *s.Request.Replace, nil)
		},
		plan.AddImage: addImage,
		plan.CreateVolume: func(ctx context.Context, c Client, s plan.Step, _ string) error {
			_, err := c.CreateVolume(ctx, *s.Request.Create)
			return err
		},
		plan.SetLimit:      setVolume,
		plan.SetScrubEvery: setVolume,
		plan.SetExport:     setVolume,
		plan.DeleteVolume: func(ctx context.Context, c Client, s plan.Step, name string) error {
			return c.DeleteVolume(ctx, cmp.Or(s.ID, name), api.Wait{})
		},
		plan.DefineDomain:   defineDomain,
		plan.RedefineDomain: defineDomain,
		plan.DeleteDomain: func(ctx context.Context, c Client, _ plan.Step, name string) error {
			return c.DeleteDomain(ctx, name)
		},
		plan.StartDomain: func(ctx context.Context, c Client, _ plan.Step, name string) error {
			_, err := c.StartDomain(ctx, name, api.Wait{})
			return err
		},
		plan.StopDomain: func(ctx context.Context, c Client, _ plan.Step, name string) error {
			_, err := c.StopDomain(ctx, name, api.Wait{})
			return err
		},
	}
}

// byItsMachine refuses what nobody can do from afar. It is always held.
func byItsMachine(_ context.Context, _ Client, s plan.Step, name string) error {
	return fmt.Errorf("node %s waits for %s", name, s.Held)
}

func setVolume(ctx context.Context, c Client, s plan.Step, name string) error {
	_, err := c.SetVolume(ctx, cmp.Or(s.ID, name), *s.Request.Volume)
	return err
}

func defineDomain(ctx context.Context, c Client, s plan.Step, _ string) error {
	_, err := c.DefineDomain(ctx, *s.Request.Domain)
	return err
}

// do does one step.
func do(ctx context.Context, c Client, s plan.Step) error {
	act, known := actions()[s.Kind]
	if !known {
		return fmt.Errorf("%s: nobody knows how to %s", s.Object, s.Kind)
	}
	_, name, _ := strings.Cut(s.Object, "/")
	if err := act(ctx, c, s, name); err != nil {
		return fmt.Errorf("%s %s: %w", s.Kind, s.Object, err)
	}
	return nil
}
