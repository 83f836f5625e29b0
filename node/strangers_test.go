package node

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
)

// strangersAt serves an edge over both versions of HTTP and calls it without a certificate.
func strangersAt(t *testing.T, s *strangers, http2 bool, next http.HandlerFunc) (post func(path string,
	body io.Reader) (*http.Response, string)) {
	t.Helper()
	server := httptest.NewUnstartedServer(&edge{now: time.Now, strangers: s, next: next})
	server.EnableHTTP2 = http2
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: http2}
	t.Cleanup(transport.CloseIdleConnections)
	return func(path string, body io.Reader) (*http.Response, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, body)
		require.NoError(t, err)
		if path != api.PathJoin {
			r.Header.Set("Authorization", "Bearer anything")
		}
		res, err := (&http.Client{Transport: transport}).Do(r)
		require.NoError(t, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, http2, res.ProtoMajor == 2)
		return res, string(text)
	}
}

func echo(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }

func TestStrangers_aBodyThatDoesNotComeIsNotWaitedFor(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		s := newStrangers()
		s.patience = 20 * time.Millisecond
		post := strangersAt(t, s, http2, echo)
		for _, path := range []string{api.PathJoin, "/v1/volumes"} {
			body, more := io.Pipe()
			res, text := post(path, body)
			_ = more.Close()
			require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode, text)
			require.Contains(t, text, "did not come within")
		}
		require.Empty(t, s.joining)
		require.Empty(t, s.sending)
	}
}

func TestStrangers_bodiesAreBounded(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		post := strangersAt(t, newStrangers(), http2, echo)
		for path, most := range map[string]int{api.PathJoin: joinBytesMax, "/v1/volumes": strangerBytesMax} {
			fits := strings.Repeat("x", most)
			res, text := post(path, strings.NewReader(fits))
			require.Equal(t, http.StatusOK, res.StatusCode)
			require.Equal(t, fits, text)
			res, text = post(path, struct{ io.Reader }{strings.NewReader(fits + "x")})
			require.Equal(t, http.StatusUnprocessableEntity, res.StatusCode)
			require.Contains(t, text, "too large")
		}
	}
}

// Calls that join keep their place until they are answered. Too many are told to come again, and take no place
// of those that show a token.
func TestStrangers_tooManyComeAgain(t *testing.T) {
	s := newStrangers()
	post := strangersAt(t, s, true, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == api.PathJoin {
			require.Len(t, s.joining, strangersMax)
		} else {
			require.Empty(t, s.sending, "a stream takes no place")
		}
	})
	for range strangersMax - 1 {
		s.joining <- struct{}{}
	}
	res, text := post(api.PathJoin, strings.NewReader("{}"))
	require.Equal(t, http.StatusOK, res.StatusCode, text)
	s.joining <- struct{}{}
	res, text = post(api.PathJoin, strings.NewReader("{}"))
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode, text)
	require.Equal(t, "1", res.Header.Get("Retry-After"))
	res, text = post("/v1/volumes", strings.NewReader("{}"))
	require.Equal(t, http.StatusOK, res.StatusCode, text)
}
