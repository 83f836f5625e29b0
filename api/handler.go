package api

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Version is the version of the API, which the OpenAPI document names and every path begins with;
// VersionNumber is the same as a number.
const (
	Version       = "1"
	VersionNumber = 1
)

// PathPing answers at once, without asking anybody: a sign that the process runs.
const PathPing = "/v1/ping"

// PathHealth says what is wrong.
const PathHealth = "/v1/health"

// requestBytesMax bounds a request's body.
const requestBytesMax = 1 << 20

// NewHandler returns the API served by s to everybody, with its OpenAPI document at /openapi.json.
func NewHandler(s Service) http.Handler { return NewGuardedHandler(s, nil) }

// NewGuardedHandler returns the API served by s to whom guard gives the role that a call needs, with its
// OpenAPI document, which is no secret, at /openapi.json. A nil guard lets everybody do everything.
func NewGuardedHandler(s Service, guard Guard) http.Handler {
	mux := http.NewServeMux()
	config := huma.DefaultConfig("Holdfast", Version)
	config.Info.Description = "Volumes that survive the servers they are on."
	config.DocsPath, config.SchemasPath = "", "" // the document is enough, and bodies stay free of $schema
	config.CreateHooks = nil
	config.RejectUnknownQueryParameters = true
	api := humago.New(mux, config)
	if guard != nil {
		api.UseMiddleware(guarded(guard))
	}
	routes := routes{api: api, service: s}
	routes.cluster()
	routes.why()
	routes.recovery()
	routes.nodes()
	routes.volumes()
	routes.domains()
	routes.trust()
	routes.placement()
	routes.plans()
	routes.versions()
	routes.rebalancing()
	routes.images()
	return knownCalls(mux)
}

type routes struct {
	api     huma.API
	service Service
}

// body is a JSON answer.
type body[T any] struct{ Body T }

type nothing struct{}

// named is the input of verbs on one object.
type named struct {
	Name string `path:"name" doc:"name or id"`
}

// namedWait is the input of verbs on one object that may take long.
type namedWait struct {
	Name   string `path:"name" doc:"name or id"`
	NoWait bool   `query:"no_wait" doc:"answer as soon as it is decided, not when it is done"`
}

// op describes one operation; what it answers when it fails is the same for all.
func (r routes) op(id, method, path, summary, tag string) huma.Operation {
	problem := huma.SchemaFromType(r.api.OpenAPI().Components.Schemas, reflect.TypeFor[Error]())
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{tag},
		MaxBodyBytes: requestBytesMax,
		Responses: map[string]*huma.Response{"default": {
			Description: "What is wrong and what to do",
			Content:     map[string]*huma.MediaType{problemType: {Schema: problem}},
		}},
	}
}

// answer makes a handler's answer of a service's, whose error becomes a problem document.
func answer[T any](value T, err error) (*body[T], error) {
	if err != nil {
		return nil, asError(err)
	}
	return &body[T]{Body: value}, nil
}

// list is answer for lists, which are never null.
func list[T any](values []T, err error) (*body[[]T], error) {
	if values == nil {
		values = []T{}
	}
	return answer(values, err)
}

// done is the answer of a verb that returns nothing.
func done(err error) (*nothing, error) {
	if err != nil {
		return nil, asError(err)
	}
	return &nothing{}, nil
}

func (r routes) cluster() {
	huma.Register(r.api, r.op("ping", http.MethodGet, PathPing, "Whether this node answers", "cluster"),
		func(context.Context, *struct{}) (*body[Ping], error) { return answer(Ping{OK: true}, nil) })
	huma.Register(r.api, r.op("get-cluster", http.MethodGet, "/v1/cluster", "The cluster as a whole",
		"cluster"),
		func(ctx context.Context, _ *struct{}) (*body[Cluster],
			error) {
			return answer(r.service.Cluster(ctx))
		})
	huma.Register(r.api, r.op("get-health", http.MethodGet, PathHealth,
		"What is wrong and what happens next", "cluster"),
		func(ctx context.Context, _ *struct{}) (*body[Health], error) {
			health, err := r.service.Health(ctx)
			if health.Findings == nil {
				health.Findings = []Finding{}
			}
			return answer(health, err)
		})
	r.operations()

	type input struct {
		After  uint64 `query:"after" doc:"only events with a greater seq"`
		Follow bool   `query:"follow" doc:"go on with new events until the caller goes away"`
	}
	events := r.op("list-events", http.MethodGet, "/v1/events", "Events, one JSON object a line", "cluster")
	streamed[Event](r.api, &events)
	huma.Register(r.api, events, func(ctx context.Context, in *input) (*huma.StreamResponse, error) {
		return stream(func(emit func(Event) error) error {
			return r.service.Events(ctx, in.After, in.Follow, emit)
		}, nil), nil
	})
}

// Ping is the answer to PathPing.
type Ping struct {
	OK bool `json:"ok"`
}

func (r routes) nodes() {
	huma.Register(r.api, r.op("list-nodes", http.MethodGet, "/v1/nodes", "All nodes", "nodes"),
		func(ctx context.Context, _ *struct{}) (*body[[]Node], error) { return list(r.service.Nodes(ctx)) })
	huma.Register(r.api, r.op("get-node", http.MethodGet, "/v1/nodes/{name}", "One node and what is on it",
		"nodes"),
		func(ctx context.Context, in *named) (*body[NodeDetail], error) {
			return answer(r.service.Node(ctx, in.Name))
		})

	type replace struct {
		Name   string `path:"name" doc:"name or id"`
		NoWait bool   `query:"no_wait" doc:"answer as soon as it is decided, not when it is done"`
		Body   ReplaceNode
	}
	replacing := r.op("replace-node", http.MethodPost, "/v1/nodes/{name}/replace",
		"Give a node's place to another; progress, one JSON object a line", "nodes")
	streamed[Operation](r.api, &replacing)
	huma.Register(r.api, replacing, func(ctx context.Context, in *replace) (*huma.StreamResponse, error) {
		in.Body.Wait = Wait{in.NoWait}
		return stream(func(emit func(Operation) error) error {
			return r.service.ReplaceNode(ctx, in.Name, in.Body, emit)
		}, failedOperation("replace", "node/"+in.Name)), nil
	})
	removing := r.op("remove-node", http.MethodDelete, "/v1/nodes/{name}",
		"Move a node's legs away and forget it; progress, one JSON object a line", "nodes")
	streamed[Operation](r.api, &removing)
	huma.Register(r.api, removing, func(ctx context.Context, in *namedWait) (*huma.StreamResponse, error) {
		return stream(func(emit func(Operation) error) error {
			return r.service.RemoveNode(ctx, in.Name, Wait{in.NoWait}, emit)
		}, failedOperation("remove", "node/"+in.Name)), nil
	})
	r.drains()
}
