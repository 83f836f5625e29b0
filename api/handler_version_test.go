package api

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// A client of another release hears which of the two is to be upgraded, not "page not found".
func TestUnknownCalls(t *testing.T) {
	h := NewHandler(&fake{})
	for _, c := range []struct{ method, path, says string }{
		{"GET", "/v2/volumes", "version 2 of the API was asked for; this cluster speaks version 1"},
		{"GET", "/v0/volumes", "version 0 of the API"},
		{"POST", "/v2", "version 2 of the API"},
		{"GET", "/v1/quotas", "this cluster's API has no GET /v1/quotas"},
		{"PUT", "/v1/volumes/web1", "this cluster's API has no PUT /v1/volumes/web1"},
		{"GET", "/vine", "this cluster's API has no GET /vine"},
	} {
		w := serve(h, c.method, c.path, "")
		require.Equal(t, http.StatusUnprocessableEntity, w.Code, c.path)
		var e Error
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &e), c.path)
		require.Contains(t, e.Message, c.says)
		require.NotEmpty(t, e.Hint, "it says what to do")
	}
	require.Equal(t, http.StatusOK, serve(h, "GET", PathPing, "").Code)
}
