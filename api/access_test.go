package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// operationsOf returns the id, method and path of every operation in the OpenAPI document.
func operationsOf(t *testing.T) map[string][2]string {
	t.Helper()
	w := serve(NewHandler(&fake{}), http.MethodGet, "/openapi.json", "")
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		}
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &document))
	all := map[string][2]string{}
	for path, methods := range document.Paths {
		for method, op := range methods {
			all[op.OperationID] = [2]string{method, path}
		}
	}
	require.NotEmpty(t, all)
	return all
}

// Which role an operation needs is decided for each, and for nothing that does not exist.
func TestOperationRoles_isTotal(t *testing.T) {
	documented := operationsOf(t)
	for id := range documented {
		require.Containsf(t, operationRoles(), id, "operation %s has no role: add it to operationRoles", id)
	}
	for id, role := range operationRoles() {
		require.Contains(t, documented, id)
		require.True(t, role == RoleNone || role.rank() > 0, id)
		require.Equal(t, role == RoleNone, id == "join-cluster", "only joining needs no role")
	}
	require.Equal(t, RoleAdmin, roleFor("unheard-of"))
}

func TestRole_covers(t *testing.T) {
	order := []Role{RoleNone, RoleViewer, RoleOperator, RoleAdmin}
	for i, has := range order {
		for j, needed := range order {
			require.Equal(t, i >= j, has.Covers(needed), "%q covers %q", has, needed)
		}
	}
	require.False(t, Role("owner").Covers(RoleViewer))
}

// Each operation, by each role: it is let through or refused, as the table says, before anything is done.
func TestGuard_everyOperationByEveryRole(t *testing.T) {
	for id, at := range operationsOf(t) {
		for _, role := range []Role{RoleNone, RoleViewer, RoleOperator, RoleAdmin} {
			guard := func(Caller) (Role, *Error) {
				if role == RoleNone {
					return role, Unauthorized("who asks?")
				}
				return role, nil
			}
			reached := false
			h := NewGuardedHandler(nil, guard) // whoever gets to a service that is not there panics
			func() {
				defer func() { reached = recover() != nil || reached }()
				r := httptest.NewRequest(http.MethodPost, at[1], nil)
				r.Method = map[string]string{"get": "GET", "post": "POST", "delete": "DELETE", "put": "PUT",
					"patch": "PATCH"}[at[0]]
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				reached = w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden
				if !reached {
					require.Equal(t, problemType, w.Header().Get("Content-Type"))
				}
			}()
			require.Equal(t, role.Covers(roleFor(id)), reached, "%s by %q", id, role)
		}
	}
}

func TestCaller_isPassedOn(t *testing.T) {
	proxy, node := volume.NewNodeID(), volume.NewNodeID()
	for _, c := range []Caller{{}, {Kind: CallerRoot}, {Kind: CallerNode, Node: node},
		{Kind: CallerToken, Token: "x"}} {
		out := httptest.NewRequest(http.MethodGet, "/v1/health", nil)
		c.passOn(out)
		require.Equal(t, c, CallerFor(out, proxy))
	}
	r := httptest.NewRequest(http.MethodGet, "/v1/health", nil)
	require.Equal(t, Caller{Kind: CallerNode, Node: proxy}, CallerFor(r, proxy), "it speaks for itself")
	for _, bad := range []string{"admin", "node", "node x", "root root, root"} {
		r.Header.Set(callerHeader, bad)
		got := CallerFor(r, proxy)
		require.True(t, got == Caller{} || got.Kind == CallerRoot && bad == "root root, root", bad)
	}
	r.Header[callerHeader] = []string{"root", "node " + node.String()}
	require.Equal(t, Caller{}, CallerFor(r, proxy), "two words are none")
}
