package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-storage/holdfast/volume"
)

// Role is what a caller may do. Each role may do what the weaker ones may.
type Role string

// The roles, the weakest first.
const (
	RoleNone     Role = ""         // nothing that needs a role
	RoleViewer   Role = "viewer"   // look
	RoleOperator Role = "operator" // the daily work on volumes, domains and nodes
	RoleAdmin    Role = "admin"    // who belongs to the cluster, who may what, and what runs as root on hosts
)

func (r Role) rank() int {
	switch r {
	case RoleViewer:
		return 1
	case RoleOperator:
		return 2
	case RoleAdmin:
		return 3
	}
	return 0
}

// Covers reports whether the role suffices where another is needed.
func (r Role) Covers(needed Role) bool { return r.rank() >= needed.rank() }

// operationRoles says which role each operation needs, by its id in the OpenAPI document. It is the only
// place where that is decided; a test holds that it is total.
func operationRoles() map[string]Role {
	return map[string]Role{
		"ping":         RoleViewer,
		"join-cluster": RoleNone, // who asks has no role yet: the join token is what admits it

		"get-cluster": RoleViewer, "get-health": RoleViewer, "list-operations": RoleViewer,
		"get-operation": RoleViewer,
		"list-events":   RoleViewer, "why": RoleViewer, "list-nodes": RoleViewer, "get-node": RoleViewer,
		"list-volumes": RoleViewer, "get-volume": RoleViewer, "list-domains": RoleViewer,
		"get-domain": RoleViewer, "plan": RoleViewer,

		"replace-node": RoleOperator, "create-volume": RoleOperator, "clone-volumes": RoleOperator,
		"delete-volume": RoleOperator,
		"attach-volume": RoleOperator, "detach-volume": RoleOperator, "scrub-volume": RoleOperator,
		"stop-scrub": RoleOperator, "set-volume": RoleOperator, "start-domain": RoleOperator,
		"stop-domain": RoleOperator, "failover-domain": RoleOperator,
		"migrate-domain": RoleOperator, "abort-migration": RoleOperator,
		"pause-domain": RoleOperator, "resume-domain": RoleOperator, "drain-node": RoleOperator,
		"undrain-node": RoleOperator, "delete-domain": RoleOperator, "open-console": RoleOperator,
		"type-console": RoleOperator,
		"drill-domain": RoleOperator, "list-drills": RoleViewer, "get-drill": RoleViewer,

		"list-images": RoleViewer, "get-image": RoleViewer,
		"delete-image": RoleOperator, "pin-domain": RoleOperator, "rollback-domain": RoleOperator,
		"begin-upload":  RoleAdmin, // what is in an image runs in guests, or as root on a host
		"append-upload": RoleAdmin, "finish-upload": RoleAdmin, "abort-upload": RoleAdmin,

		"remove-node": RoleAdmin, "set-cluster": RoleAdmin, "set-node": RoleAdmin,
		"set-replace-after": RoleAdmin,
		"upgrade-cluster":   RoleAdmin, "stop-rebalance": RoleAdmin, "rebalance": RoleAdmin,
		"backup-cluster": RoleAdmin,                                                         // it holds the CA's key
		"promote-leg":    RoleAdmin, "unfreeze-volume": RoleAdmin, "end-restore": RoleAdmin, // they may give up data
		"define-domain":       RoleAdmin, // its command runs as root on a host
		"list-export-secrets": RoleAdmin,
		"issue-credential":    RoleAdmin, // who has one reads the volume
		"revoke-credentials":  RoleOperator,
		"list-tokens":         RoleAdmin, "create-token": RoleAdmin, "revoke-token": RoleAdmin,
		"list-join-tokens": RoleAdmin, "create-join-token": RoleAdmin, "revoke-join-token": RoleAdmin,
	}
}

// roleFor returns which role an operation needs. What the table does not know needs the strongest.
func roleFor(operation string) Role {
	if role, ok := operationRoles()[operation]; ok {
		return role
	}
	return RoleAdmin
}

// CallerKind says by what a caller is known.
type CallerKind string

// The kinds of callers.
const (
	CallerNobody CallerKind = ""      // it showed nothing
	CallerRoot   CallerKind = "root"  // it opened a node's unix socket
	CallerNode   CallerKind = "node"  // it showed a node's certificate
	CallerToken  CallerKind = "token" // it showed an API token
)

// Caller is who makes a call, as the node knows to which the call came first.
type Caller struct {
	Kind  CallerKind
	Node  volume.NodeID // of CallerNode
	Token string        // of CallerToken; a secret, not verified yet
	// Via are the nodes that passed the call on, the first first, each as the next one saw its certificate.
	// What they say of the caller is worth as much as they are: one that is no part of the cluster makes
	// the whole call worth nothing.
	Via []volume.NodeID
}

type callerKey struct{}

// WithCaller returns a context that says who makes the call.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns who makes a call; nobody if no one said.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// The headers by which callers are known. callerHeader and viaHeader are believed from nodes only.
const (
	callerHeader = "X-Holdfast-Caller"
	viaHeader    = "X-Holdfast-Via"
	tokenHeader  = "Authorization"
	tokenScheme  = "Bearer "
)

// BearerOf returns the API token that a request shows, "" if there is none.
func BearerOf(r *http.Request) string {
	token, ok := strings.CutPrefix(r.Header.Get(tokenHeader), tokenScheme)
	if !ok {
		return ""
	}
	return token
}

// passOn notes in a request to another node on whose behalf it is made.
func (c Caller) passOn(out *http.Request) {
	word := string(c.Kind)
	if c.Kind == CallerNode {
		word += " " + c.Node.String()
	}
	out.Header.Set(callerHeader, word)
	out.Header.Del(viaHeader)
	for _, node := range c.Via {
		out.Header.Add(viaHeader, node.String())
	}
	if c.Kind == CallerToken {
		out.Header.Set(tokenHeader, tokenScheme+c.Token)
	}
}

// CallerFor returns on whose behalf a node makes a request: its own, or that of the caller whose call it
// passes on; then the node, whose certificate the request came with, is the last of Via. What it cannot
// understand is nobody.
func CallerFor(r *http.Request, node volume.NodeID) Caller {
	values, passed := r.Header[callerHeader]
	if !passed {
		return Caller{Kind: CallerNode, Node: node}
	}
	via, ok := viaOf(r)
	if !ok {
		return Caller{}
	}
	via = append(via, node)
	kind, id, _ := strings.Cut(strings.Join(values, ","), " ")
	switch CallerKind(kind) {
	case CallerRoot:
		return Caller{Kind: CallerRoot, Via: via}
	case CallerNode:
		if parsed, err := volume.ParseUUID(id); err == nil {
			return Caller{Kind: CallerNode, Node: volume.NodeID{UUID: parsed}, Via: via}
		}
	case CallerToken:
		return Caller{Kind: CallerToken, Token: BearerOf(r), Via: via}
	}
	return Caller{Via: via}
}

// viaOf returns which nodes passed a call on before the one that makes the request; false if that cannot be
// understood, or if it went through more nodes than any call does.
func viaOf(r *http.Request) ([]volume.NodeID, bool) {
	values := r.Header[viaHeader]
	if len(values) > hopsMax {
		return nil, false
	}
	via := make([]volume.NodeID, 0, len(values)+1)
	for _, value := range values {
		id, err := volume.ParseUUID(value)
		if err != nil {
			return nil, false
		}
		via = append(via, volume.NodeID{UUID: id})
	}
	return via, true
}

// Guard returns the role of a caller, or why it has none.
type Guard func(Caller) (Role, *Error)

// Unauthorized is the answer to who has not shown who it is.
func Unauthorized(format string, args ...any) *Error {
	return Errorf(CodeUnauthorized, "", "call a node's unix socket as root, or show an API token of "+
		"`holdfast token create` by HOLDFAST_TOKEN_FILE", format, args...)
}

// Refuse answers a request with an error.
func Refuse(w http.ResponseWriter, e *Error) { writeError(w, e) }

// guarded lets a call through only if the caller's role suffices.
func guarded(guard Guard) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		operation := ctx.Operation().OperationID
		needed := roleFor(operation)
		if needed == RoleNone {
			next(ctx)
			return
		}
		caller := CallerOf(ctx.Context())
		ask := func() (Role, *Error) {
			role, err := guard(caller)
			if err == nil && !role.Covers(needed) {
				err = Errorf(CodeRefused, "", "ask somebody who has that role",
					"%s needs the role %s, the caller has %s", operation, needed, role)
			}
			return role, err
		}
		role, err := ask()
		if err != nil {
			_, w := humago.Unwrap(ctx)
			writeError(w, err)
			return
		}
		if lasts(ctx.Operation()) {
			held, release := WhileAllowed(ctx.Context(), func() *Error {
				_, err := ask()
				return err
			})
			defer release()
			ctx = huma.WithContext(ctx, held)
		}
		next(huma.WithValue(ctx, roleKey{}, role))
	}
}

type roleKey struct{}

// needs refuses what takes a stronger role than its operation alone, as what gives up data. Where nobody guards,
// everybody may do everything.
func needs(ctx context.Context, what string, needed Role) error {
	role, guarded := ctx.Value(roleKey{}).(Role)
	if !guarded || role.Covers(needed) {
		return nil
	}
	return Errorf(CodeRefused, "", "ask somebody who has that role", "%s needs the role %s, the caller has %s", what,
		needed, role)
}
