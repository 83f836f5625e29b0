package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/holdfast-storage/holdfast/volume"
)

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	var out T
	err := c.do(ctx, call{method: http.MethodGet, path: path, read: decodeTo(&out)})
	return out, err
}

func post[T any](ctx context.Context, c *Client, path string, w Wait, body any) (T, error) {
	var out T
	err := c.do(ctx, call{method: http.MethodPost, path: path, query: w.query(), body: body,
		read: decodeTo(&out)})
	return out, err
}

func (w Wait) query() url.Values {
	if w.NoWait {
		return url.Values{"no_wait": {"true"}}
	}
	return nil
}

func objectPath(kind, name string, verb ...string) string {
	path := "/v1/" + kind + "/" + url.PathEscape(name)
	for _, v := range verb {
		path += "/" + v
	}
	return path
}

// Cluster describes the cluster.
func (c *Client) Cluster(ctx context.Context) (Cluster, error) {
	return get[Cluster](ctx, c, "/v1/cluster")
}

// Health judges the cluster now. It is answered without a leader too.
func (c *Client) Health(ctx context.Context) (Health, error) {
	return get[Health](ctx, c, "/v1/health")
}

// Nodes lists the nodes.
func (c *Client) Nodes(ctx context.Context) ([]Node, error) { return get[[]Node](ctx, c, "/v1/nodes") }

// Node shows one node by name or id.
func (c *Client) Node(ctx context.Context, name string) (NodeDetail, error) {
	return get[NodeDetail](ctx, c, objectPath("nodes", name))
}

// Volumes lists the volumes.
func (c *Client) Volumes(ctx context.Context) ([]Volume, error) {
	return get[[]Volume](ctx, c, "/v1/volumes")
}

// Volume shows one volume by name or id.
func (c *Client) Volume(ctx context.Context, name string) (Volume, error) {
	return get[Volume](ctx, c, objectPath("volumes", name))
}

// CreateVolume makes a volume and returns it once it is provisioned.
func (c *Client) CreateVolume(ctx context.Context, r CreateVolume) (Volume, error) {
	if r.ID == "" {
		r.ID = volume.NewID().String() // a repeated request makes the same volume
	}
	return post[Volume](ctx, c, "/v1/volumes", r.Wait, r)
}

// DeleteVolume deletes a detached volume and its data.
func (c *Client) DeleteVolume(ctx context.Context, name string, w Wait) error {
	return c.do(ctx, call{
		method: http.MethodDelete, path: objectPath("volumes", name), query: w.query(), goneIsDone: true,
	})
}

// AttachVolume grants a volume to a host and returns when it serves there.
func (c *Client) AttachVolume(ctx context.Context, name string, r AttachVolume) (Attached, error) {
	return post[Attached](ctx, c, objectPath("volumes", name, "attach"), r.Wait, r)
}

// DetachVolume ends an attachment cleanly.
func (c *Client) DetachVolume(ctx context.Context, name string, w Wait) error {
	return c.do(ctx, call{method: http.MethodPost, path: objectPath("volumes", name, "detach"),
		query: w.query()})
}

// ScrubVolume scrubs an attached volume, or joins the scrub that runs, and returns what it found, nil with
// NoWait; progress as in ReplaceNode.
func (c *Client) ScrubVolume(ctx context.Context, name string, r ScrubVolume,
	progress func(Operation) error) (*ScrubResult, error) {
	if r.Request == "" {
		r.Request = volume.NewUUID().String() // a repeated request is the same scrub
	}
	var result *ScrubResult
	err := c.operate(ctx, call{
		method: http.MethodPost, path: objectPath("volumes", name, "scrub"), query: r.query(), body: r,
	}, func(o Operation) error {
		result = o.Scrub
		if progress == nil {
			return nil
		}
		return progress(o)
	})
	return result, err
}

// StopScrub gives up the scrub of a volume that runs and returns what it found, nil if none runs.
func (c *Client) StopScrub(ctx context.Context, name string) (*ScrubResult, error) {
	var out *ScrubResult
	err := c.do(ctx, call{method: http.MethodDelete, path: objectPath("volumes", name, "scrub"), read: decodeTo(&out)})
	return out, err
}

// Domains lists the domains.
func (c *Client) Domains(ctx context.Context) ([]Domain, error) {
	return get[[]Domain](ctx, c, "/v1/domains")
}

// Domain shows one domain.
func (c *Client) Domain(ctx context.Context, name string) (Domain, error) {
	return get[Domain](ctx, c, objectPath("domains", name))
}

// DefineDomain adds a domain, or changes one that is stopped.
func (c *Client) DefineDomain(ctx context.Context, spec DomainSpec) (Domain, error) {
	return post[Domain](ctx, c, "/v1/domains", Wait{}, spec)
}

// DeleteDomain forgets a stopped domain; its volumes stay.
func (c *Client) DeleteDomain(ctx context.Context, name string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: objectPath("domains", name), goneIsDone: true})
}

// StartDomain starts a domain on the first of its hosts that lives.
func (c *Client) StartDomain(ctx context.Context, name string, w Wait) (Domain, error) {
	return post[Domain](ctx, c, objectPath("domains", name, "start"), w, nil)
}

// StopDomain stops a domain and detaches its volumes.
func (c *Client) StopDomain(ctx context.Context, name string, w Wait) (Domain, error) {
	return post[Domain](ctx, c, objectPath("domains", name, "stop"), w, nil)
}

// PauseDomain has the guest of a domain stand still where it is, with its memory.
func (c *Client) PauseDomain(ctx context.Context, name string, w Wait) (Domain, error) {
	return post[Domain](ctx, c, objectPath("domains", name, "pause"), w, nil)
}

// ResumeDomain has the guest of a domain go on that was paused.
func (c *Client) ResumeDomain(ctx context.Context, name string, w Wait) (Domain, error) {
	return post[Domain](ctx, c, objectPath("domains", name, "resume"), w, nil)
}

// FailoverDomain moves a domain to another host, taking its volumes over.
func (c *Client) FailoverDomain(ctx context.Context, name string, r FailoverDomain) (Domain, error) {
	return post[Domain](ctx, c, objectPath("domains", name, "failover"), r.Wait, r)
}

// MigrateDomain moves a domain's guest to another host while it runs.
func (c *Client) MigrateDomain(ctx context.Context, name string, r MigrateDomain) (Domain, error) {
	return post[Domain](ctx, c, objectPath("domains", name, "migrate"), r.Wait, r)
}

// AbortMigration has the guest of a domain that is migrated stay where it is.
func (c *Client) AbortMigration(ctx context.Context, name string) (Domain, error) {
	return post[Domain](ctx, c, objectPath("domains", name, "abort-migration"), Wait{}, nil)
}

// ReplaceNode gives a node's legs, vote and place to another one. progress, which may be nil, is
// called for every report of it; its error ends the watching and is returned. The work goes on when
// the watching ends, and asking again watches it again.
func (c *Client) ReplaceNode(ctx context.Context, old string, r ReplaceNode,
	progress func(Operation) error) error {
	return c.operate(ctx, call{
		method: http.MethodPost, path: objectPath("nodes", old, "replace"), query: r.query(), body: r,
		goneIsDone: true,
	}, progress)
}

// RemoveNode moves a node's legs to others and forgets it; progress as in ReplaceNode.
func (c *Client) RemoveNode(ctx context.Context, name string, w Wait, progress func(Operation) error) error {
	return c.operate(ctx, call{
		method: http.MethodDelete, path: objectPath("nodes", name), query: w.query(), goneIsDone: true,
	}, progress)
}

// operate reads a stream of operations to its end and returns the last one's error. A stream that
// ends while the operation runs was cut off and is asked for again, unless nobody was to wait.
func (c *Client) operate(ctx context.Context, k call, progress func(Operation) error) error {
	var stop stopped
	k.read = func(r io.Reader) error {
		last := Operation{State: OperationRunning}
		err := lines(func(o Operation) error {
			last = o
			if progress != nil {
				return progress(o)
			}
			return nil
		})(r)
		switch {
		case errors.As(err, &stop):
			return nil // the caller has enough: no failure of the endpoint
		case last.State == OperationFailed && last.Error != nil:
			return last.Error
		case last.State == OperationRunning && err == nil && len(k.query) == 0:
			return io.ErrUnexpectedEOF
		}
		return err
	}
	if err := c.do(ctx, k); err != nil {
		return err
	}
	return stop.cause
}

// Events calls each for every event above after, oldest first, and with follow for those to come
// until ctx ends or each fails; then it returns that cause. A connection that breaks is made anew
// behind the last event seen.
func (c *Client) Events(ctx context.Context, after uint64, follow bool, each func(Event) error) error {
	for {
		query := url.Values{"after": {strconv.FormatUint(after, 10)}}
		if follow {
			query.Set("follow", "true")
		}
		var stop stopped
		err := c.do(ctx, call{
			method: http.MethodGet, path: "/v1/events", query: query,
			read: func(r io.Reader) error {
				err := lines(func(e Event) error {
					if e.Seq <= after {
						return nil // a repeated request says again what was seen
					}
					after = e.Seq
					return each(e)
				})(r)
				if errors.As(err, &stop) {
					return nil // the caller has enough: no failure of the endpoint
				}
				return err
			},
		})
		if stop.cause != nil {
			return stop.cause
		}
		if err != nil || !follow {
			return err
		}
		if !pause(ctx, retryPause) {
			return context.Cause(ctx)
		}
	}
}
