package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/holdfast-storage/holdfast/volume"
)

// hopsHeader counts how often a call was passed on: from a node to a coordinator, from there to
// another one if it knows of no leader, and to the leader. More means that nodes disagree on who leads.
const (
	hopsHeader = "X-Holdfast-Hops"
	hopsMax    = 3
	// hopsOthers is what a call counts that was passed on to Others. Whoever gets it may still pass it
	// to the leader, but not to others again.
	hopsOthers = 2
)

// Target is a node to pass a call to.
type Target struct {
	Node    volume.NodeID
	Address string // host:port
}

// ProxyOptions configures a Proxy.
type ProxyOptions struct {
	// Targets returns the nodes to pass a call to, best first. It is asked for every call, must not block, and leaves
	// out the node itself.
	Targets func() []Target
	// Others returns further nodes to ask when there is no target: one of them may know of the leader.
	// Nil has none.
	Others func() []Target
	// Alone returns who answers a call when there is no target and no other took it; nil, or a nil
	// handler, answers that no coordinator leads.
	Alone func(*http.Request) http.Handler
	// Reach returns how a target is reached: with the node's certificate, and nobody but that target, whoever else
	// answers at its address.
	Reach  func(volume.NodeID) http.RoundTripper
	Scheme string // "https" if empty
}

// Proxy passes the public API on to the first target that answers, streams included. A target that
// falls silent ends the call as unknown, which clients take as "ask again". PathPing is answered
// here.
type Proxy struct {
	targets func() []Target
	others  func() []Target
	alone   func(*http.Request) http.Handler
	reach   func(volume.NodeID) http.RoundTripper
	scheme  string
}

// NewProxy returns a Proxy.
func NewProxy(o ProxyOptions) *Proxy {
	if o.Scheme == "" {
		o.Scheme = "https"
	}
	if o.Others == nil {
		o.Others = func() []Target { return nil }
	}
	if o.Alone == nil {
		o.Alone = func(*http.Request) http.Handler { return nil }
	}
	return &Proxy{targets: o.Targets, others: o.Others, alone: o.Alone, reach: o.Reach, scheme: o.Scheme}
}

// client returns a client that talks to one node.
func (p *Proxy) client(node volume.NodeID) *http.Client {
	return &http.Client{
		Transport:     p.reach(node),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ServeHTTP passes a call on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == PathPing {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(Ping{OK: true})
		return
	}
	hops, _ := strconv.Atoi(r.Header.Get(hopsHeader)) // absent counts as none
	if hops >= hopsMax {
		writeError(w, noLeader("nodes disagree on who leads"))
		return
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestBytesMax))
	if err != nil {
		writeError(w, Errorf(CodeInvalid, "", "", "request body: %s", err))
		return
	}
	failure := noLeader("none is known to this node")
	targets, next := p.targets(), hops+1
	leaderless := len(targets) == 0 && hops < hopsOthers
	if leaderless {
		targets, next = p.others(), hopsOthers
	}
	for _, target := range targets {
		err := p.forward(w, r, target, payload, next)
		if err == nil || r.Context().Err() != nil {
			return
		}
		if failure.Code != CodeUnknown { // once it may have been done, that is what the caller must know
			failure = err
		}
	}
	if alone := p.alone(r); alone != nil && leaderless {
		r.Body = io.NopCloser(bytes.NewReader(payload))
		alone.ServeHTTP(w, r)
		return
	}
	writeError(w, failure)
}

func noLeader(cause string) *Error {
	return Errorf(CodeNoLeader, "cluster",
		"most coordinators must run and reach each other; what is attached goes on serving",
		"no coordinator leads: %s", cause)
}

// forward makes the call on one target. An error means that nothing was answered yet, so another
// target may be tried; a stream that breaks afterwards is cut off towards the caller too.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, target Target, payload []byte, hops int,
) *Error {
	base, client := p.scheme+"://"+target.Address, p.client(target.Node)
	check := func(ctx context.Context) error { return ping(ctx, client, base, func(*http.Request) {}) }
	if err := check(r.Context()); err != nil {
		return noLeader(err.Error())
	}
	ctx, release := guard(r.Context(), guardEvery, check)
	defer release()
	out, err := http.NewRequestWithContext(ctx, r.Method, base+r.URL.RequestURI(), bytes.NewReader(payload))
	if err != nil {
		return asError(err)
	}
	out.Header.Set(hopsHeader, strconv.Itoa(hops))
	CallerOf(r.Context()).passOn(out)
	for _, name := range []string{"Content-Type", "Accept"} {
		if value := r.Header.Get(name); value != "" {
			out.Header.Set(name, value)
		}
	}
	res, err := client.Do(out)
	if err != nil {
		return Errorf(CodeUnknown, "", "ask again", "node at %s was asked, and then: %s", target.Address,
			silent(ctx, err))
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusServiceUnavailable {
		return asError(readError(res))
	}
	w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
	w.WriteHeader(res.StatusCode)
	if err := copyFlushed(w, res.Body); err != nil {
		panic(http.ErrAbortHandler) // net/http's way to cut the answer off, so that it does not look whole
	}
	return nil
}

// copyFlushed copies a stream so that each piece is sent at once.
func copyFlushed(w http.ResponseWriter, r io.Reader) error {
	flush := http.NewResponseController(w)
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return err
			}
			if err := flush.Flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
