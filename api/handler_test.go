package api

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "write the golden file anew; commit it only if you understand the change")

// fake is a Service that records what it was asked and answers what the test says.
type fake struct {
	Service
	asked     string
	wait      Wait
	volume    Volume
	attached  Attached
	err       error
	events    []Event
	operation []Operation
	result    *ScrubResult
	block     chan struct{}
}

func (f *fake) Volumes(context.Context) ([]Volume, error) { return nil, f.err }

func (f *fake) Volume(_ context.Context, name string) (Volume, error) {
	f.asked = name
	return f.volume, f.err
}

func (f *fake) CreateVolume(_ context.Context, r CreateVolume) (Volume, error) {
	f.asked, f.wait = r.Name+" "+r.ID, r.Wait
	return f.volume, f.err
}

func (f *fake) DeleteVolume(_ context.Context, name string, w Wait) error {
	f.asked, f.wait = name, w
	return f.err
}

func (f *fake) AttachVolume(ctx context.Context, name string, r AttachVolume) (Attached, error) {
	f.asked, f.wait = name+" "+r.Host, r.Wait
	if f.block != nil {
		select {
		case <-f.block:
		case <-ctx.Done():
			return Attached{}, ctx.Err()
		}
	}
	return f.attached, f.err
}

func (f *fake) FailoverDomain(_ context.Context, name string, r FailoverDomain) (Domain, error) {
	f.asked, f.wait = name+" to "+r.To, r.Wait
	return Domain{Name: name}, f.err
}

func (f *fake) MigrateDomain(_ context.Context, name string, r MigrateDomain) (Domain, error) {
	f.asked, f.wait = name+" while it runs to "+r.To, r.Wait
	return Domain{Name: name}, f.err
}

func (f *fake) AbortMigration(_ context.Context, name string) (Domain, error) {
	f.asked = name + " stays"
	return Domain{Name: name}, f.err
}

func (f *fake) PauseDomain(_ context.Context, name string, w Wait) (Domain, error) {
	f.asked, f.wait = name+" stands still", w
	return Domain{Name: name}, f.err
}

func (f *fake) ResumeDomain(_ context.Context, name string, w Wait) (Domain, error) {
	f.asked, f.wait = name+" goes on", w
	return Domain{Name: name}, f.err
}

func (f *fake) Health(context.Context) (Health, error) { return Health{Status: Healthy}, f.err }

func (f *fake) Events(_ context.Context, after uint64, _ bool, emit func(Event) error) error {
	for _, e := range f.events {
		if e.Seq > after {
			if err := emit(e); err != nil {
				return err
			}
		}
	}
	return f.err
}

func (f *fake) ReplaceNode(_ context.Context, old string, r ReplaceNode, emit func(Operation) error) error {
	f.asked, f.wait = old+" by "+r.New, r.Wait
	for _, o := range f.operation {
		if err := emit(o); err != nil {
			return err
		}
	}
	return f.err
}

func (f *fake) ScrubVolume(_ context.Context, name string, r ScrubVolume, emit func(Operation) error) error {
	f.asked, f.wait = fmt.Sprintf("%s %s %d", name, r.Request, r.RateBytes), r.Wait
	for _, o := range f.operation {
		if err := emit(o); err != nil {
			return err
		}
	}
	return f.err
}

func (f *fake) CloneVolumes(_ context.Context, r CloneVolumes, emit func(Operation) error) error {
	f.asked, f.wait = fmt.Sprintf("%s %d", r.Request, r.RateBytes), r.Wait
	for _, c := range r.Clones {
		f.asked += " " + c.Source + ":" + c.Name
	}
	for _, o := range f.operation {
		if err := emit(o); err != nil {
			return err
		}
	}
	return f.err
}

func (f *fake) StopScrub(_ context.Context, name string) (*ScrubResult, error) {
	f.asked = name
	return f.result, f.err
}

func (f *fake) UnfreezeVolume(_ context.Context, name string, r Unfreeze) (Volume, error) {
	f.asked = name + ": " + r.Reason
	return Volume{Name: name}, f.err
}

func (f *fake) PromoteLeg(_ context.Context, name string, r Promote) (Volume, error) {
	f.asked = fmt.Sprintf("%s %s: %s", name, r.Leg, r.Reason)
	if r.HostIsOff {
		f.asked += ", the host is off"
	}
	return Volume{Name: name}, f.err
}

func (f *fake) EndRestore(_ context.Context, r EndRestore) error {
	f.asked = fmt.Sprintf("found, anyway %t", r.Anyway)
	return f.err
}

func (f *fake) Backup(context.Context) ([]byte, error) { return []byte("all of it\n\x00"), f.err }

func serve(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, reader)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestOpenAPI_golden holds the public contract: whoever changes it sees the difference.
func TestOpenAPI_golden(t *testing.T) {
	w := serve(NewHandler(&fake{}), http.MethodGet, "/openapi.json", "")
	require.Equal(t, http.StatusOK, w.Code)
	var got bytes.Buffer
	require.NoError(t, json.Indent(&got, w.Body.Bytes(), "", "  "))
	golden := filepath.Join("testdata", "openapi.json")
	if *rewrite {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got.String(), "go test ./api -rewrite writes it anew")
}

// TestContract_json holds the forms that scripts rely on.
func TestContract_json(t *testing.T) {
	f := &fake{
		volume: Volume{Name: "v1", SizeBytes: 1 << 30, Layout: "mirror=2", State: "detached", Legs: []Leg{
			{ID: "l1", Node: "n1", State: "in_sync", CfgVer: 3, Progress: 1},
		}},
		attached: Attached{Volume: "v1", Host: "h1", Epoch: 2,
			Exports: []Export{{Type: "nbd", URL: "nbd+unix:///v1?socket=/s"}}},
	}
	h := NewHandler(f)

	t.Run("volume show", func(t *testing.T) {
		w := serve(h, http.MethodGet, "/v1/volumes/v1", "")
		require.Equal(t, http.StatusOK, w.Code)
		var got map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
		for _, field := range []string{"name", "size_bytes", "layout", "state", "epoch", "cfgver",
			"attachment", "legs"} {
			require.Contains(t, got, field)
		}
		require.Nil(t, got["attachment"])
		require.NotContains(t, got, "$schema")
		leg := got["legs"].([]any)[0].(map[string]any)
		require.Equal(t, "n1", leg["node"])
		require.EqualValues(t, 1, leg["progress"])
		require.EqualValues(t, 3, leg["cfgver"])
	})
	t.Run("volume attach", func(t *testing.T) {
		w := serve(h, http.MethodPost, "/v1/volumes/v1/attach", `{"host":"h1"}`)
		require.Equal(t, http.StatusOK, w.Code)
		require.JSONEq(t, `{"volume":"v1","host":"h1","epoch":2,
			"exports":[{"type":"nbd","url":"nbd+unix:///v1?socket=/s"}]}`, w.Body.String())
		require.Equal(t, "v1 h1", f.asked)
	})
	t.Run("an empty list is a list", func(t *testing.T) {
		w := serve(h, http.MethodGet, "/v1/volumes", "")
		require.JSONEq(t, `[]`, w.Body.String())
	})
	t.Run("health without findings has a list", func(t *testing.T) {
		w := serve(h, http.MethodGet, "/v1/health", "")
		require.JSONEq(t, `{"status":"healthy","findings":[]}`, w.Body.String())
	})
}

func TestHandler_noWaitIsAQueryParameter(t *testing.T) {
	f := &fake{}
	w := serve(NewHandler(f), http.MethodDelete, "/v1/volumes/v1?no_wait=true", "")
	require.Equal(t, http.StatusNoContent, w.Code)
	require.True(t, f.wait.NoWait)
	w = serve(NewHandler(f), http.MethodPost, "/v1/domains/web/failover", "")
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	require.Equal(t, "web to ", f.asked)
	require.False(t, f.wait.NoWait)
	for verb, asked := range map[string]string{"pause": "web stands still", "resume": "web goes on"} {
		w = serve(NewHandler(f), http.MethodPost, "/v1/domains/web/"+verb+"?no_wait=true", "")
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		require.Equal(t, asked, f.asked)
		require.True(t, f.wait.NoWait)
	}
}

func TestHandler_errorsAreProblems(t *testing.T) {
	cases := map[string]struct {
		err          error
		method, path string
		body         string
		status       int
		code         Code
		object       string
		contains     string
	}{
		"known": {
			err: Errorf(CodeBusy, "volume/v1", "detach it", "volume v1 is attached"), path: "/v1/volumes/v1",
			status: 409, code: CodeBusy, object: "volume/v1", contains: "volume v1 is attached",
		},
		"unknown": {err: io.ErrUnexpectedEOF, path: "/v1/volumes/v1", status: 500, code: CodeInternal,
			contains: "unexpected EOF"},
		"bad field": {
			method: http.MethodPost, path: "/v1/volumes",
			body:   `{"name":"v1","size_bytes":"big","layout":"mirror=2"}`,
			status: 422, contains: "size_bytes",
		},
		"unknown field": {
			method: http.MethodPost, path: "/v1/volumes",
			body:   `{"name":"v1","size_bytes":4096,"layout":"mirror=2","x":1}`,
			status: 422, contains: "x",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.method == "" {
				c.method = http.MethodGet
			}
			w := serve(NewHandler(&fake{err: c.err}), c.method, c.path, c.body)
			require.Equal(t, c.status, w.Code)
			require.Equal(t, problemType, w.Header().Get("Content-Type"))
			var e *Error
			require.ErrorAs(t, readError(w.Result()), &e)
			require.Equal(t, c.code, e.Code)
			require.Equal(t, c.object, e.Object)
			require.Contains(t, e.Error(), c.contains)
		})
	}
}

func TestHandler_streams(t *testing.T) {
	f := &fake{operation: []Operation{{State: OperationRunning, Progress: 0.5},
		{State: OperationDone, Progress: 1}}}
	h := NewHandler(f)
	w := serve(h, http.MethodPost, "/v1/nodes/n2/replace", `{"new":"n4"}`)
	require.Equal(t, streamType, w.Header().Get("Content-Type"))
	require.Len(t, strings.Split(strings.TrimSpace(w.Body.String()), "\n"), 2)
	require.Equal(t, "n2 by n4", f.asked)

	t.Run("an error before the first line is a problem", func(t *testing.T) {
		w := serve(NewHandler(&fake{err: Errorf(CodeNotFound, "node/n9", "", "no node n9")}),
			http.MethodPost, "/v1/nodes/n9/replace", `{"new":"n4"}`)
		require.Equal(t, http.StatusNotFound, w.Code)
	})
	t.Run("an error after it is the last line", func(t *testing.T) {
		f := &fake{operation: f.operation[:1], err: Errorf(CodeFailed, "node/n2", "", "no room")}
		w := serve(NewHandler(f), http.MethodPost, "/v1/nodes/n2/replace", `{"new":"n4"}`)
		var last Operation
		require.NoError(t, lines(func(o Operation) error { last = o; return nil })(w.Body))
		require.Equal(t, OperationFailed, last.State)
		require.Equal(t, "no room", last.Error.Message)
	})
}
