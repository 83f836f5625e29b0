package image

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// machine is a node with a keeper, whose answers a test may spoil.
type machine struct {
	t      *testing.T
	id     volume.NodeID
	dir    string
	keeper *Keeper
	server *httptest.Server
	stop   func()

	mu    sync.Mutex
	spoil func(http.ResponseWriter, *http.Request, http.HandlerFunc) // what it does when it is to give a blob
	words []raft.BlobHeld
	gave  []string // the ranges that it was asked for
}

func newMachine(t *testing.T) *machine {
	m := &machine{t: t, id: volume.NewNodeID(), dir: filepath.Join(t.TempDir(), "images")}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+peer.PathImage, func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		spoil := m.spoil
		m.gave = append(m.gave, r.Header.Get("Range"))
		m.mu.Unlock()
		if spoil != nil {
			spoil(w, r, m.keeper.Give)
			return
		}
		m.keeper.Give(w, r)
	})
	mux.HandleFunc("POST "+peer.PathImageDoubt, func(w http.ResponseWriter, r *http.Request) { m.keeper.Doubt(w, r) })
	m.server = httptest.NewServer(mux)
	m.start()
	t.Cleanup(func() {
		m.stop()
		m.server.CloseClientConnections()
		m.server.Close()
	})
	return m
}

// start begins a daemon on the machine's directory.
func (m *machine) start() {
	m.t.Helper()
	k, err := New(Options{Dir: m.dir, Node: m.id, Scheme: "http",
		Reach: func(volume.NodeID) http.RoundTripper { return http.DefaultTransport },
		Report: func(_ context.Context, w raft.BlobHeld) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.words = append(m.words, w)
			return nil
		}})
	require.NoError(m.t, err)
	m.keeper = k
	ctx, cancel := context.WithCancel(m.t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		k.Run(ctx)
	}()
	m.stop = func() {
		cancel()
		<-over
	}
}

func (m *machine) peer() peer.Peer {
	return peer.Peer{ID: m.id, API: m.server.Listener.Addr().String()}
}

func (m *machine) order(orders ...peer.ImageOrder) {
	m.keeper.Assign(peer.Assignment{Registered: true, Images: orders})
}

// give makes a blob on the machine, as an upload does, and orders it.
func (m *machine) give(data []byte, d volume.Digest) {
	m.t.Helper()
	put(m.t, m.keeper.store, data, d)
	m.order(peer.ImageOrder{Digest: d, SizeBytes: int64(len(data)), Has: true})
}

func (m *machine) spoils(f func(http.ResponseWriter, *http.Request, http.HandlerFunc)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spoil = f
}

func (m *machine) said() []raft.BlobHeld {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]raft.BlobHeld{}, m.words...)
}

func (m *machine) asked() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string{}, m.gave...)
}

// has waits until the machine can give a blob to guests, and holds it against what it is to be.
func (m *machine) has(data []byte, d volume.Digest) {
	m.t.Helper()
	require.Eventually(m.t, func() bool { return m.keeper.Sound(d) == nil }, 20*time.Second, 5*time.Millisecond,
		"%+v", m.keeper.Status())
	path, waits := m.keeper.Blob(d)
	require.Empty(m.t, waits)
	got, err := os.ReadFile(path)
	require.NoError(m.t, err)
	require.True(m.t, bytes.Equal(data, got))
}

func orderFrom(data []byte, d volume.Digest, from ...*machine) peer.ImageOrder {
	o := peer.ImageOrder{Digest: d, SizeBytes: int64(len(data))}
	for _, m := range from {
		o.From = append(o.From, m.peer())
	}
	return o
}

// cutAfter gives only so many bytes and then breaks the connection.
func cutAfter(bytes int) func(http.ResponseWriter, *http.Request, http.HandlerFunc) {
	return func(w http.ResponseWriter, r *http.Request, give http.HandlerFunc) {
		give(&cutter{ResponseWriter: w, left: bytes}, r)
	}
}

type cutter struct {
	http.ResponseWriter
	left int
}

// Unwrap lets the deadlines through.
func (c *cutter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *cutter) Write(data []byte) (int, error) {
	n, err := c.ResponseWriter.Write(data[:min(len(data), c.left)])
	if c.left -= n; c.left == 0 {
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// lie gives other bytes than it has.
func lie(w http.ResponseWriter, r *http.Request, give http.HandlerFunc) { give(&liar{w}, r) }

type liar struct{ http.ResponseWriter }

func (l *liar) Unwrap() http.ResponseWriter { return l.ResponseWriter }

func (l *liar) Write(data []byte) (int, error) {
	wrong := bytes.Clone(data)
	wrong[0] ^= 1
	return l.ResponseWriter.Write(wrong)
}

func TestPull_andTellsIt(t *testing.T) {
	a, b := newMachine(t), newMachine(t)
	data, d := content(1, 3<<20+5)
	a.give(data, d)
	_, waits := b.keeper.Blob(d)
	require.Equal(t, "this host is not to have it yet", waits)
	b.order(orderFrom(data, d, a))
	b.has(data, d)
	require.Eventually(t, func() bool { return len(b.said()) == 1 }, 20*time.Second, time.Millisecond)
	require.Equal(t, raft.BlobHeld{Digest: d, Node: b.id, Has: true}, b.said()[0])
	require.Eventually(t, func() bool { return len(b.keeper.Status()) == 0 }, 20*time.Second, time.Millisecond)
	require.Equal(t, Counts{PulledBytes: int64(len(data)), Pulled: 1}, b.keeper.Counts())
	require.Empty(t, a.said(), "that it has it is known")
}

// A connection that breaks again and again costs nothing that came before.
func TestPull_goesOnWhereItBrokeOff(t *testing.T) {
	a, b := newMachine(t), newMachine(t)
	data, d := content(1, 1<<20)
	a.give(data, d)
	a.spoils(cutAfter(300 << 10))
	b.order(orderFrom(data, d, a))
	b.has(data, d)
	require.EqualValues(t, len(data), b.keeper.Counts().PulledBytes, "each byte came once")
	require.Equal(t, "bytes=0-", a.asked()[0])
	require.Len(t, a.asked(), 4)
}

// What one node began another one ends; a daemon that is started anew goes on, too.
func TestPull_fromAnotherNodeAndAfterARestart(t *testing.T) {
	a, b, c := newMachine(t), newMachine(t), newMachine(t)
	data, d := content(1, 1<<20)
	a.give(data, d)
	b.give(data, d)
	a.spoils(cutAfter(400 << 10))
	c.order(orderFrom(data, d, a))
	require.Eventually(t, func() bool { return c.keeper.Counts().PulledBytes >= 400<<10 }, 20*time.Second,
		time.Millisecond)
	c.stop()
	a.server.CloseClientConnections()
	a.spoils(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { w.WriteHeader(http.StatusTeapot) })
	c.start()
	c.order(orderFrom(data, d, a, b))
	c.has(data, d)
	require.LessOrEqual(t, c.keeper.Counts().PulledBytes, int64(len(data)-400<<10))
	require.NotContains(t, b.asked(), "bytes=0-")
}

// A node that gives wrong bytes is found out, told, and not asked again; what it has is right or is thrown away by
// itself.
func TestPull_fromALiar(t *testing.T) {
	a, b, c := newMachine(t), newMachine(t), newMachine(t)
	data, d := content(1, 300<<10)
	a.give(data, d)
	b.give(data, d)
	rot(t, a.keeper.store, d) // which its times do not tell
	require.NoError(t, a.keeper.Sound(d))
	a.order(peer.ImageOrder{Digest: d, SizeBytes: int64(len(data)), Has: true, From: []peer.Peer{b.peer()}})
	c.order(orderFrom(data, d, a, b))
	c.has(data, d)
	if len(a.asked()) == 0 { // it came from b at once: ask a alone
		require.NoError(t, c.keeper.store.remove(d, nobodyWants))
		c.order(orderFrom(data, d, a))
		require.Eventually(t, func() bool { return c.keeper.Counts().Wrong > 0 }, 20*time.Second, time.Millisecond,
			"%+v", c.keeper.Status())
		c.order(orderFrom(data, d, a, b))
		c.has(data, d)
	}
	require.Equal(t, 1, c.keeper.Counts().Wrong)
	a.has(data, d) // it read its file, threw it away, and got it from b
	require.Equal(t, 1, a.keeper.Counts().Wrong)
	require.Eventually(t, func() bool { return len(a.said()) == 2 }, 20*time.Second, time.Millisecond,
		"it said %+v", a.said())
	require.False(t, a.said()[0].Has)
	require.Contains(t, a.said()[0].Reason, "not what its digest says")
	require.True(t, a.said()[1].Has)
}

// Of what several nodes gave nobody can tell whose is wrong: then it is taken from one alone, until it is known.
func TestPull_findsTheLiarAmongSeveral(t *testing.T) {
	a, b, c := newMachine(t), newMachine(t), newMachine(t)
	data, d := content(1, 900<<10)
	a.give(data, d)
	b.give(data, d)
	c.order(orderFrom(data, d, a, b))
	first, second := a, b
	if c.keeper.holders(orderFrom(data, d, a, b))[0].ID == b.id {
		first, second = b, a
	}
	c.has(data, d)
	require.NoError(t, c.keeper.store.remove(d, nobodyWants))
	first.spoils(cutAfter(400 << 10)) // so that each attempt would have something of both
	second.spoils(lie)
	c.order(orderFrom(data, d, a, b))
	c.has(data, d)
	require.Equal(t, 2, c.keeper.Counts().Wrong, "once of both, once of the liar alone")
	require.NoError(t, first.keeper.Sound(d), "it was doubted, too, and is right")
	second.has(data, d) // its file is: only what it gave was wrong
}

// A node that does not stick to what was asked, or has nothing to give, is passed over.
func TestPull_badAnswers(t *testing.T) {
	data, d := content(1, 100<<10)
	for name, spoil := range map[string]func(http.ResponseWriter, *http.Request, http.HandlerFunc){
		"all of it, when a part was asked": func(w http.ResponseWriter, r *http.Request, give http.HandlerFunc) {
			r.Header.Del("Range")
			give(w, r)
		},
		"another part": func(w http.ResponseWriter, r *http.Request, give http.HandlerFunc) {
			r.Header.Set("Range", "bytes=7-")
			give(w, r)
		},
		"nothing": func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
			http.Error(w, "no", http.StatusNotFound)
		},
	} {
		a, b := newMachine(t), newMachine(t)
		a.give(data, d)
		a.spoils(spoil)
		b.order(orderFrom(data, d, a))
		require.Eventually(t, func() bool { return len(a.asked()) >= 2 }, 20*time.Second, time.Millisecond, name)
		require.Eventually(t, func() bool {
			s := b.keeper.Status()
			return len(s) == 1 && strings.Contains(s[0].Error, a.peer().API)
		}, 20*time.Second, time.Millisecond, name)
		require.Zero(t, b.keeper.Counts().PulledBytes, name)
		a.spoils(nil)
		b.has(data, d)
		b.stop()
	}
}

// A node that was wiped gets everything again; one of which a file is gone says so first.
func TestKeeper_aNodeThatWasWiped(t *testing.T) {
	a, b := newMachine(t), newMachine(t)
	data, d := content(1, 100<<10)
	a.give(data, d)
	o := orderFrom(data, d, a)
	o.Has = true // as the coordinators believe
	b.order(o)
	b.has(data, d)
	require.Eventually(t, func() bool { return len(b.said()) == 2 }, 20*time.Second, time.Millisecond)
	require.Equal(t, raft.BlobHeld{Digest: d, Node: b.id, Reason: "its file is gone"}, b.said()[0])
	require.True(t, b.said()[1].Has)
}

// After a start nobody gets a file before it was read.
func TestKeeper_verifiesAfterAStart(t *testing.T) {
	a := newMachine(t)
	data, d := content(1, 100<<10)
	a.give(data, d)
	a.stop()
	change(t, a.keeper.store, d)
	a.start()
	_, waits := a.keeper.Blob(d)
	require.NotEmpty(t, waits)
	res, err := http.Get("http://" + a.peer().API + peer.PathImage + "?digest=" + string(d))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	b := newMachine(t)
	b.give(data, d)
	o := orderFrom(data, d, b)
	o.Has = true
	a.order(o)
	a.has(data, d)
	require.False(t, a.said()[0].Has)
}

// What a guest waits for interrupts what matters less, and that goes on afterwards where it was.
func TestKeeper_theUrgentInterruptsTheRest(t *testing.T) {
	a, b := newMachine(t), newMachine(t)
	slow, slowDigest := content(1, 800<<10)
	fast, fastDigest := content(2, 100<<10)
	put(t, a.keeper.store, slow, slowDigest)
	put(t, a.keeper.store, fast, fastDigest)
	half, stuck := make(chan struct{}), sync.Once{}
	a.spoils(func(w http.ResponseWriter, r *http.Request, give http.HandlerFunc) {
		if r.FormValue("digest") == string(slowDigest) && r.Header.Get("Range") == "bytes=0-" {
			w.Header().Set("Content-Range", "bytes 0-819199/819200")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(slow[:400<<10])
			_ = http.NewResponseController(w).Flush()
			stuck.Do(func() { close(half) })
			<-r.Context().Done() // it gives nothing more
			return
		}
		give(w, r)
	})
	b.order(orderFrom(slow, slowDigest, a))
	<-half
	require.Eventually(t, func() bool { return b.keeper.Counts().PulledBytes == 400<<10 }, 20*time.Second,
		time.Millisecond)
	b.order(orderFrom(fast, fastDigest, a), orderFrom(slow, slowDigest, a))
	b.has(fast, fastDigest)
	b.has(slow, slowDigest)
	require.EqualValues(t, 900<<10, b.keeper.Counts().PulledBytes)
}

// What nobody wants any more is removed after a while, never before it is known what is wanted.
func TestKeeper_removesWhatNobodyWants(t *testing.T) {
	a := newMachine(t)
	data, d := content(1, 100)
	put(t, a.keeper.store, data, d)
	a.keeper.noteUnwanted()
	require.Empty(t, a.keeper.unwantedBlobs(), "nothing was said yet")
	a.order()
	require.Eventually(t, func() bool { return len(a.keeper.unwantedBlobs()) == 1 }, 20*time.Second, time.Millisecond)
	require.NoError(t, a.keeper.Sound(d), "it may be wanted again")
	a.keeper.mu.Lock()
	a.keeper.unwanted[d] = time.Now().Add(-removeAfter)
	a.keeper.adopting = true
	require.Equal(t, stepNone, a.keeper.next(time.Now()).step, "after a restore nobody knows yet")
	a.keeper.adopting = false
	a.keeper.mu.Unlock()
	a.keeper.nudge()
	require.Eventually(t, func() bool { return a.keeper.Sound(d) != nil }, 20*time.Second, time.Millisecond)
	require.NoFileExists(t, a.keeper.store.path(d))
}

func (k *Keeper) unwantedBlobs() []volume.Digest {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []volume.Digest
	for d := range k.unwanted {
		all = append(all, d)
	}
	return all
}

func TestKeeper_doubtsAreBounded(t *testing.T) {
	a := newMachine(t)
	data, d := content(1, 100)
	a.give(data, d)
	require.True(t, a.keeper.mayDoubt(d))
	require.False(t, a.keeper.mayDoubt(d))
	_, other := content(2, 1)
	require.False(t, a.keeper.mayDoubt(other))
}

func TestServe_badRequests(t *testing.T) {
	a := newMachine(t)
	_, d := content(1, 1)
	for _, c := range []struct {
		method, path string
		status       int
	}{{http.MethodGet, peer.PathImage + "?digest=../../etc/passwd", 400}, {http.MethodGet, peer.PathImage, 400},
		{http.MethodGet, peer.PathImage + "?digest=" + string(d), 404},
		{http.MethodPost, peer.PathImageDoubt + "?digest=x", 400},
		{http.MethodPost, peer.PathImageDoubt + "?digest=" + string(d), 204}} {
		req, err := http.NewRequest(c.method, a.server.URL+c.path, nil)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, c.status, res.StatusCode, c.path)
	}
}
