package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRecovery_overHTTP(t *testing.T) {
	f := &fake{}
	h := NewHandler(f)
	w := serve(h, http.MethodPost, "/v1/volumes/web1/unfreeze", `{"reason":"set back by the SAN"}`)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Equal(t, "web1: set back by the SAN", f.asked)
	w = serve(h, http.MethodPost, "/v1/volumes/web1/promote", `{"leg":"n1","reason":"n2 burnt"}`)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Equal(t, "web1 n1: n2 burnt", f.asked)
	w = serve(h, http.MethodPost, "/v1/volumes/web1/promote", `{"leg":"n1","reason":"fire","host_is_off":true}`)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Equal(t, "web1 n1: fire, the host is off", f.asked)
	for _, anyway := range []string{"false", "true"} {
		w = serve(h, http.MethodPost, "/v1/cluster/end-restore", `{"anyway":`+anyway+`}`)
		require.Equal(t, http.StatusNoContent, w.Code, w.Body)
		require.Equal(t, "found, anyway "+anyway, f.asked)
	}
	w = serve(h, http.MethodGet, PathBackup, "")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "application/octet-stream", w.Header().Get("Content-Type"))
	require.Equal(t, "all of it\n\x00", w.Body.String())

	for _, body := range []string{`{}`, `{"reason":""}`, `{"reason":"x","force":true}`} {
		f.asked = ""
		w = serve(h, http.MethodPost, "/v1/volumes/web1/unfreeze", body)
		require.GreaterOrEqual(t, w.Code, 400, body)
		require.Empty(t, f.asked, body)
	}
}
