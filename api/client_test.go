package api

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// server starts h on loopback with TLS and returns its endpoint and what a client needs to trust it.
func server(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	return s
}

func client(t *testing.T, patience time.Duration, endpoints ...string) *Client {
	t.Helper()
	c, err := NewClient(ClientOptions{Endpoints: strings.Join(endpoints, ","), Patience: patience})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func trust(c *Client, servers ...*httptest.Server) *Client {
	pool := x509.NewCertPool()
	for _, s := range servers {
		pool.AddCert(s.Certificate())
	}
	for _, e := range c.endpoints {
		config := servers[0].Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		config.RootCAs = pool
		e.http.Transport.(*http.Transport).TLSClientConfig = config
	}
	return c
}

func TestNewClient_refusesBadEndpoints(t *testing.T) {
	for _, text := range []string{"", " , ", "http://127.0.0.1:1", "https://h", "unix://x/y", "unix:",
		"https://h:1/v1", "h:1"} {
		_, err := NewClient(ClientOptions{Endpoints: text})
		require.Error(t, err, text)
	}
}

func TestClient_unixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(NewHandler(&fake{volume: Volume{Name: "v1"}}))
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)

	v, err := client(t, -1, "unix://"+path).Volume(t.Context(), "v1")
	require.NoError(t, err)
	require.Equal(t, "v1", v.Name)
}

func TestClient_triesEachUntilOneAnswers(t *testing.T) {
	dead := server(t, http.NotFoundHandler())
	leaderless := server(t, NewProxy(ProxyOptions{Targets: func() []Target { return nil }}))
	alive := server(t, NewHandler(&fake{volume: Volume{Name: "v1"}}))
	c := trust(client(t, -1, dead.URL, leaderless.URL, alive.URL), dead, leaderless, alive)
	dead.Close()

	v, err := c.Volume(t.Context(), "v1")
	require.NoError(t, err)
	require.Equal(t, "v1", v.Name)
	_, i := c.current()
	require.Equal(t, 2, i, "the next call begins with the one that answered")
}

func TestClient_saysWhatEveryEndpointSaid(t *testing.T) {
	dead := server(t, http.NotFoundHandler())
	c := trust(client(t, -1, dead.URL), dead)
	dead.Close()
	_, err := c.Volumes(t.Context())
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, CodeNoLeader, e.Code)
	require.Contains(t, e.Message, dead.URL)
}

func TestClient_waitsForALeader(t *testing.T) {
	var calls atomic.Int32
	ready := NewHandler(&fake{volume: Volume{Name: "v1"}})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != PathPing && calls.Add(1) < 3 {
			writeError(w, noLeader("an election runs"))
			return
		}
		ready.ServeHTTP(w, r)
	})
	s := server(t, h)
	v, err := trust(client(t, 10*time.Second, s.URL), s).Volume(t.Context(), "v1")
	require.NoError(t, err)
	require.Equal(t, "v1", v.Name)
	require.EqualValues(t, 3, calls.Load())
}

func TestClient_refusalIsFinal(t *testing.T) {
	var calls atomic.Int32
	refuses := NewHandler(&fake{err: Errorf(CodeBusy, "volume/v1", "detach it", "volume v1 is attached")})
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		refuses.ServeHTTP(w, r)
	}))
	_, err := trust(client(t, 10*time.Second, s.URL), s).AttachVolume(t.Context(), "v1",
		AttachVolume{Host: "h1"})
	require.EqualError(t, err, "volume v1 is attached (detach it)")
	require.EqualValues(t, 2, calls.Load(), "one ping and one call")
}

// TestClient_lostAnswerOfADelete: the second try finds nothing, since the first one was done.
func TestClient_lostAnswerOfADelete(t *testing.T) {
	var calls atomic.Int32
	gone := NewHandler(&fake{err: Errorf(CodeNotFound, "volume/v1", "", "there is no volume v1")})
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && calls.Add(1) == 1 {
			panic(http.ErrAbortHandler) // the answer is lost on the way
		}
		gone.ServeHTTP(w, r)
	}))
	c := trust(client(t, 10*time.Second, s.URL), s)
	require.NoError(t, c.DeleteVolume(t.Context(), "v1", Wait{}))
	require.EqualValues(t, 2, calls.Load())

	var e *Error
	require.ErrorAs(t, c.DeleteVolume(t.Context(), "v1", Wait{}), &e)
	require.Equal(t, CodeNotFound, e.Code, "without a lost answer it is an error")
}

// TestClient_notFoundAfterAnElection: that no coordinator led says that nothing was done, so a name that
// is not there afterwards never was.
func TestClient_notFoundAfterAnElection(t *testing.T) {
	var calls atomic.Int32
	gone := NewHandler(&fake{err: Errorf(CodeNotFound, "volume/typo", "", "there is no volume typo")})
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && calls.Add(1) == 1 {
			writeError(w, noLeader("an election runs"))
			return
		}
		gone.ServeHTTP(w, r)
	}))
	err := trust(client(t, 10*time.Second, s.URL), s).DeleteVolume(t.Context(), "typo", Wait{})
	require.EqualError(t, err, "there is no volume typo")
}

func TestClient_createChoosesTheID(t *testing.T) {
	f := &fake{}
	s := server(t, NewHandler(f))
	_, err := trust(client(t, -1, s.URL), s).CreateVolume(t.Context(),
		CreateVolume{Name: "v1", Layout: "mirror=2"})
	require.NoError(t, err)
	require.Len(t, f.asked, len("v1 ")+36)
}

func TestClient_callEndsWithItsContext(t *testing.T) {
	s := server(t, NewHandler(&fake{block: make(chan struct{})}))
	ctx, cancel := context.WithCancelCause(t.Context())
	c := trust(client(t, time.Minute, s.URL), s)
	go cancel(errors.New("interrupted"))
	_, err := c.AttachVolume(ctx, "v1", AttachVolume{Host: "h1"})
	require.ErrorContains(t, err, "interrupted")
}

func TestClient_operationThatIsCutOffIsWatchedAgain(t *testing.T) {
	running := NewHandler(&fake{operation: []Operation{{State: OperationRunning, Progress: 0.5}}})
	finished := NewHandler(&fake{operation: []Operation{{State: OperationDone, Progress: 1}}})
	var calls atomic.Int32
	s := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != PathPing && calls.Add(1) == 1 {
			running.ServeHTTP(w, r)
			return
		}
		finished.ServeHTTP(w, r)
	}))
	var seen []float64
	err := trust(client(t, 10*time.Second, s.URL), s).ReplaceNode(t.Context(), "n2", ReplaceNode{New: "n4"},
		func(o Operation) error { seen = append(seen, o.Progress); return nil })
	require.NoError(t, err)
	require.Equal(t, []float64{0.5, 1}, seen)
}

func TestClient_scrub(t *testing.T) {
	result := &ScrubResult{ID: 4, Complete: true, Bad: 2, Healed: 2, Legs: []ScrubbedLeg{}, Ranges: []ByteRange{}}
	f := &fake{operation: []Operation{{State: OperationRunning, Progress: 0.5},
		{State: OperationDone, Progress: 1, Scrub: result}}}
	s := server(t, NewHandler(f))
	c := trust(client(t, -1, s.URL), s)
	var seen []float64
	got, err := c.ScrubVolume(t.Context(), "v1", ScrubVolume{Request: "r1", RateBytes: 7},
		func(o Operation) error { seen = append(seen, o.Progress); return nil })
	require.NoError(t, err)
	require.Equal(t, result, got)
	require.Equal(t, []float64{0.5, 1}, seen)
	require.Equal(t, "v1 r1 7", f.asked)
	_, err = c.ScrubVolume(t.Context(), "v1", ScrubVolume{}, nil)
	require.NoError(t, err)
	require.Regexp(t, `^v1 [0-9a-f-]{36} 0$`, f.asked, "it chooses what names the request")

	f.operation = f.operation[:1]
	got, err = c.ScrubVolume(t.Context(), "v1", ScrubVolume{Wait: Wait{NoWait: true}}, nil)
	require.NoError(t, err)
	require.Nil(t, got, "nobody waits for it")
	require.True(t, f.wait.NoWait)

	got, err = c.StopScrub(t.Context(), "v1")
	require.NoError(t, err)
	require.Nil(t, got)
	f.result = result
	got, err = c.StopScrub(t.Context(), "v1")
	require.NoError(t, err)
	require.Equal(t, result, got)
	f.err = Errorf(CodeBusy, "volume/v1", "", "it is not attached: attach it first")
	f.operation = nil
	_, err = c.ScrubVolume(t.Context(), "v1", ScrubVolume{}, nil)
	require.ErrorContains(t, err, "attach it first")
}

func TestClient_followsEventsOverABrokenConnection(t *testing.T) {
	f := &fake{events: []Event{{Seq: 1}, {Seq: 2}}}
	s := server(t, NewHandler(f)) // each stream ends by itself, as if it broke
	enough := errors.New("enough")
	var seen []uint64
	err := trust(client(t, -1, s.URL), s).Events(t.Context(), 0, true, func(e Event) error {
		seen = append(seen, e.Seq)
		if e.Seq == 2 && len(f.events) == 2 {
			f.events = append(f.events, Event{Seq: 3})
		}
		if e.Seq == 3 {
			return enough
		}
		return nil
	})
	require.ErrorIs(t, err, enough)
	require.Equal(t, []uint64{1, 2, 3}, seen)
}

func TestGuard_endsACallToASilentProcess(t *testing.T) {
	pings := 0
	ctx, release := guard(t.Context(), time.Millisecond, func(context.Context) error {
		pings++
		return errors.New("no answer")
	})
	<-ctx.Done()
	release()
	require.ErrorIs(t, context.Cause(ctx), errSilent)
	require.Equal(t, 2, pings)
}

// at returns targets at the addresses of servers.
func at(urls ...string) (targets []Target) {
	for _, u := range urls {
		targets = append(targets, Target{Address: strings.TrimPrefix(u, "https://")})
	}
	return targets
}

// byAny reaches all targets in the same way.
func byAny(t http.RoundTripper) func(volume.NodeID) http.RoundTripper {
	return func(volume.NodeID) http.RoundTripper { return t }
}

func TestProxy_passesOnAndStreams(t *testing.T) {
	f := &fake{
		volume: Volume{Name: "v1"}, operation: []Operation{{State: OperationRunning}, {State: OperationDone}},
	}
	leader := server(t, NewHandler(f))
	dead := server(t, http.NotFoundHandler())
	dead.Close()
	proxy := server(t, NewProxy(ProxyOptions{
		Targets: func() []Target { return at(dead.URL, leader.URL) },
		Reach:   byAny(leader.Client().Transport),
	}))
	c := trust(client(t, -1, proxy.URL), proxy)
	v, err := c.Volume(t.Context(), "v1")
	require.NoError(t, err)
	require.Equal(t, "v1", v.Name)

	_, err = c.CreateVolume(t.Context(), CreateVolume{Name: "v2", Layout: "mirror=2",
		Wait: Wait{NoWait: true}})
	require.NoError(t, err)
	require.True(t, f.wait.NoWait, "body and query are passed on")
	require.True(t, strings.HasPrefix(f.asked, "v2 "))

	count := 0
	require.NoError(t, c.ReplaceNode(t.Context(), "n2", ReplaceNode{New: "n4"},
		func(Operation) error { count++; return nil }))
	require.Equal(t, 2, count)

	f.err = Errorf(CodeNotFound, "volume/v9", "", "there is no volume v9")
	_, err = c.Volume(t.Context(), "v9")
	require.EqualError(t, err, "there is no volume v9")
}

// TestProxy_lostAnswer: the target was asked and its answer lost, so the caller must not take it for
// not done.
func TestProxy_lostAnswer(t *testing.T) {
	leader := server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != PathPing {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusOK)
	}))
	proxy := NewProxy(ProxyOptions{
		Targets: func() []Target { return at(leader.URL, "127.0.0.1:1") },
		Reach:   byAny(leader.Client().Transport),
	})
	w := serve(proxy, http.MethodDelete, "/v1/volumes/v1", "")
	var e *Error
	require.ErrorAs(t, readError(w.Result()), &e)
	require.Equal(t, CodeUnknown, e.Code)
}

// TestProxy_others: a node that knows of no leader asks the others, once each, before it says so.
func TestProxy_others(t *testing.T) {
	leader := server(t, NewHandler(&fake{volume: Volume{Name: "v1"}}))
	proxy := func(targets, others func() []Target) *httptest.Server {
		return server(t, NewProxy(ProxyOptions{
			Targets: targets, Others: others, Reach: byAny(leader.Client().Transport),
			Alone: func(r *http.Request) http.Handler { return NewHandler(&fake{volume: Volume{Name: "mine"}}) },
		}))
	}
	none := func() []Target { return nil }
	follower := proxy(func() []Target { return at(leader.URL) }, none)
	var cut, alone *httptest.Server
	cut = proxy(none, func() []Target { return at(alone.URL) })
	alone = proxy(none, func() []Target { return at(cut.URL) })
	knows := proxy(none, func() []Target { return at(cut.URL, follower.URL) })
	outside := proxy(func() []Target { return at(knows.URL) }, none) // no coordinator itself

	for want, s := range map[string]*httptest.Server{"v1": outside, "mine": cut} {
		v, err := trust(client(t, -1, s.URL), s).Volume(t.Context(), "v1")
		require.NoError(t, err)
		require.Equal(t, want, v.Name)
	}
}

// TestProxy_nodesThatDisagree: two followers that take each other for the leader do not pass a call
// round for ever.
func TestProxy_nodesThatDisagree(t *testing.T) {
	var target string
	var calls atomic.Int32
	proxy := NewProxy(ProxyOptions{
		Targets: func() []Target { return at(target) }, Reach: byAny(http.DefaultTransport), Scheme: "http",
	})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != PathPing {
			calls.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	target = strings.TrimPrefix(s.URL, "http://")
	res, err := http.Get(s.URL + "/v1/volumes")
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.EqualValues(t, 1+hopsMax, calls.Load())
}
