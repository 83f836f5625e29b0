package api

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClient_clone(t *testing.T) {
	f := &fake{operation: []Operation{{State: OperationRunning, Progress: 0.5}, {State: OperationDone, Progress: 1}}}
	s := server(t, NewHandler(f))
	c := trust(client(t, -1, s.URL), s)
	r := CloneVolumes{Request: "r1", RateBytes: 7,
		Clones: []NewClone{{Source: "a", Name: "a2"}, {Source: "b", Name: "b2"}}}
	var seen []float64
	require.NoError(t, c.CloneVolumes(t.Context(), r, func(o Operation) error {
		seen = append(seen, o.Progress)
		return nil
	}))
	require.Equal(t, []float64{0.5, 1}, seen)
	require.Equal(t, "r1 7 a:a2 b:b2", f.asked)
	require.False(t, f.wait.NoWait)

	f.operation, r.Request, r.NoWait = f.operation[:1], "", true
	require.NoError(t, c.CloneVolumes(t.Context(), r, nil), "nobody waits for it")
	require.Regexp(t, `^[0-9a-f-]{36} 7 a:a2 b:b2$`, f.asked, "it chooses what names the request")
	require.True(t, f.wait.NoWait)

	f.err, f.operation = Errorf(CodeExists, "volume/a2", "choose another name", "volume a2 exists already"), nil
	require.ErrorContains(t, c.CloneVolumes(t.Context(), r, nil), "a2 exists already")
}

// TestHandler_clones: what no clone is made of is refused before anybody decides, and a failure after the first line
// names the first clone.
func TestHandler_clones(t *testing.T) {
	f := &fake{}
	h := NewHandler(f)
	for _, body := range []string{`{}`, `{"clones":[]}`, `{"clones":[{"name":"a2"}]}`,
		`{"clones":[{"source":"a","name":"a2"}],"rate_bytes":-1}`} {
		w := serve(h, http.MethodPost, "/v1/clones", body)
		require.Equal(t, http.StatusUnprocessableEntity, w.Code, body)
	}
	require.Empty(t, f.asked)
	f.operation = []Operation{{State: OperationRunning}}
	f.err = Errorf(CodeFailed, "volume/a2", "", "volume a2 was deleted meanwhile")
	w := serve(h, http.MethodPost, "/v1/clones", `{"clones":[{"source":"a","name":"a2"}]}`)
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), `"object":"volume/a2","state":"failed"`)

	at := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	f.volume, f.err = Volume{Name: "a2", Clone: &Clone{Source: "a", State: CloneCut, Progress: 1, CutAt: &at}}, nil
	w = serve(h, http.MethodGet, "/v1/volumes/a2", "")
	require.Contains(t, w.Body.String(), `"clone":{"source":"a","source_id":"","group":"","state":"cut","progress":1,`+
		`"cut_at":"2026-12-01T12:00:00Z","frozen":false}`)
}
