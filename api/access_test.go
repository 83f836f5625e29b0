package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
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

// TestGuard_lossTakesAnAdmin: an operator attaches volumes, and gives up no acknowledged write.
func TestGuard_lossTakesAnAdmin(t *testing.T) {
	for _, role := range []Role{RoleOperator, RoleAdmin} {
		h := NewGuardedHandler(nil, func(Caller) (Role, *Error) { return role, nil })
		w := httptest.NewRecorder()
		reached := false
		func() {
			defer func() { reached = recover() != nil }() // the service is not there
			r := httptest.NewRequest(http.MethodPost, "/v1/volumes/v1/attach",
				strings.NewReader(`{"host":"h1","accept_loss":true}`))
			r.Header.Set("Content-Type", "application/json")
			h.ServeHTTP(w, r)
		}()
		require.Equal(t, role == RoleAdmin, reached, "%s: %s", role, w.Body)
		if !reached {
			require.Equal(t, http.StatusForbidden, w.Code, "%s", w.Body)
		}
	}
}

func TestCaller_isPassedOn(t *testing.T) {
	proxy, node := volume.NewNodeID(), volume.NewNodeID()
	for _, c := range []Caller{{}, {Kind: CallerRoot}, {Kind: CallerNode, Node: node},
		{Kind: CallerToken, Token: "x"}} {
		out := httptest.NewRequest(http.MethodGet, "/v1/health", nil)
		c.passOn(out)
		c.Via = []volume.NodeID{proxy}
		require.Equal(t, c, CallerFor(out, proxy))
	}
	r := httptest.NewRequest(http.MethodGet, "/v1/health", nil)
	require.Equal(t, Caller{Kind: CallerNode, Node: proxy}, CallerFor(r, proxy), "it speaks for itself")
	for _, bad := range []string{"admin", "node", "node x", "root root, root"} {
		r.Header.Set(callerHeader, bad)
		got := CallerFor(r, proxy)
		require.True(t, got.Kind == CallerNobody || got.Kind == CallerRoot && bad == "root root, root", bad)
	}
	r.Header[callerHeader] = []string{"root", "node " + node.String()}
	require.Equal(t, CallerNobody, CallerFor(r, proxy).Kind, "two words are none")
}

// Every certificate that a call passed stays with it: nobody on the way can take its own off.
func TestCaller_keepsWhoPassedItOn(t *testing.T) {
	first, second := volume.NewNodeID(), volume.NewNodeID()
	r := httptest.NewRequest(http.MethodGet, "/v1/health", nil)
	Caller{Kind: CallerRoot}.passOn(r)
	for range 2 {
		again := httptest.NewRequest(http.MethodGet, "/v1/health", nil)
		again.Header.Set(viaHeader, "left over")
		CallerFor(r, first).passOn(again)
		require.Equal(t, Caller{Kind: CallerRoot, Via: []volume.NodeID{first, second}}, CallerFor(again, second))
	}
	for _, bad := range [][]string{{"x"}, {""}, {first.String() + "," + second.String()},
		slices.Repeat([]string{first.String()}, hopsMax+1)} {
		r.Header[viaHeader] = bad
		require.Equal(t, Caller{}, CallerFor(r, second), bad)
	}
}
