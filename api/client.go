package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// DefaultPatience is how long a Client tries on while no endpoint answers or no coordinator leads:
// an election, with some room.
const DefaultPatience = 10 * time.Second

const (
	retryPause = 200 * time.Millisecond
	guardEvery = 2 * time.Second
)

// errSilent ends a call whose endpoint stopped answering pings.
var errSilent = errors.New("it stopped answering")

// ClientOptions configures a Client.
type ClientOptions struct {
	Endpoints string        // comma-separated unix:///path and https://host:port; required
	TLS       *tls.Config   // for https endpoints: the cluster's CA, and a client certificate if there is one
	Token     string        // shown to https endpoints; "" shows none
	Patience  time.Duration // zero means DefaultPatience, negative means none
}

// Client calls the API of a cluster through whichever endpoint answers. Calls may last as long as
// the thing takes; ctx ends them. A call whose endpoint falls silent, or whose leader changes, is
// repeated elsewhere, which is safe since every verb is idempotent. Client is safe for concurrent
// use.
type Client struct {
	endpoints []endpoint
	patience  time.Duration

	mu   sync.Mutex // protects good; never held across I/O
	good int        // index of the endpoint that answered last
}

// NewClient returns a client; it reaches nothing yet. Close it.
func NewClient(o ClientOptions) (*Client, error) {
	endpoints, err := parseEndpoints(o)
	if err != nil {
		return nil, err
	}
	if o.Patience == 0 {
		o.Patience = DefaultPatience
	}
	return &Client{endpoints: endpoints, patience: o.Patience}, nil
}

// Close drops idle connections. Calls in flight end by their own contexts.
func (c *Client) Close() {
	for _, e := range c.endpoints {
		e.http.CloseIdleConnections()
	}
}

// call is one request and what to do with its answer.
type call struct {
	method string
	path   string
	query  url.Values
	body   any                   // nil sends none
	raw    []byte                // sent as it is in place of body
	read   func(io.Reader) error // of an answer 2xx; nil ignores it
	// goneIsDone takes not_found for success when the request was sent before and its answer lost.
	goneIsDone bool
}

// do makes the call on one endpoint after the other until one answers, for as long as patience
// lasts since the last sign of life.
func (c *Client) do(ctx context.Context, k call) error {
	var payload []byte
	if k.body != nil {
		var err error
		if payload, err = json.Marshal(k.body); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	if k.raw != nil {
		payload = k.raw
	}
	sent := false
	giveUp := time.Now().Add(c.patience)
	for {
		var failures []error
		for range c.endpoints {
			e, i := c.current()
			began := time.Now()
			err := e.ping(ctx)
			if err == nil {
				err = e.exchange(ctx, k, payload)
				var refused *Error
				if errors.As(err, &refused) && refused.Code == CodeNotFound && sent && k.goneIsDone {
					return nil
				}
				if err == nil || refused != nil && !refused.Code.again() {
					return err
				}
				sent = sent || refused == nil || refused.Code == CodeUnknown
				if time.Since(began) > c.patience {
					giveUp = time.Now().Add(c.patience) // it was served for long, then broke off
				}
			}
			if ctx.Err() != nil {
				return fmt.Errorf("%s %s: %w", k.method, k.path, context.Cause(ctx))
			}
			failures = append(failures, fmt.Errorf("%s: %w", e.text, err))
			c.advance(i)
		}
		if time.Now().After(giveUp) || !pause(ctx, retryPause) {
			return unreachable(failures)
		}
	}
}

// unreachable makes one error of what every endpoint said: an answer that came from one, and before
// all that the outcome is not known.
func unreachable(failures []error) error {
	var answer *Error
	for _, f := range failures {
		var e *Error
		if errors.As(f, &e) && (answer == nil || e.Code == CodeUnknown) {
			answer = e
		}
	}
	if answer != nil {
		return answer
	}
	return Errorf(CodeNoLeader, "cluster", "check that the nodes run and HOLDFAST_API names them",
		"no API endpoint answers: %v", errors.Join(failures...))
}

// exchange makes one request. An answer that is an error is an *Error.
func (e endpoint) exchange(ctx context.Context, k call, payload []byte) error {
	ctx, release := guard(ctx, guardEvery, e.ping)
	defer release()
	target := e.base + k.path
	if len(k.query) > 0 {
		target += "?" + k.query.Encode()
	}
	var reader io.Reader
	if payload != nil {
		reader = bytes.NewReader(payload)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, target, reader)
	if err != nil {
		return err
	}
	if payload != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if k.raw != nil {
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	e.show(req)
	res, err := e.http.Do(req)
	if err != nil {
		return silent(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return readError(res)
	}
	if k.read == nil {
		return nil
	}
	return silent(ctx, k.read(res.Body))
}

// silent names the cause if ctx was ended by guard.
func silent(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}

// readError makes an *Error of an answer. A gateway's own text is no problem document and counts
// as an unknown outcome, which asks elsewhere.
func readError(res *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(res.Body, requestBytesMax)) // what there is of it serves the message
	e := &Error{}
	if json.Unmarshal(text, e) != nil || e.Message == "" {
		code := CodeInternal
		if res.StatusCode >= http.StatusBadGateway {
			code = CodeUnknown
		}
		e = Errorf(code, "", "", "the API answered %s: %s", res.Status, bytes.TrimSpace(text))
	}
	e.Status = res.StatusCode
	return e
}

func (c *Client) current() (endpoint, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.endpoints[c.good], c.good
}

// advance turns to the endpoint after i, unless another call did so already.
func (c *Client) advance(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.good == i {
		c.good = (i + 1) % len(c.endpoints)
	}
}

// decodeTo reads one JSON value into out.
func decodeTo(out any) func(io.Reader) error {
	return func(r io.Reader) error {
		if err := json.NewDecoder(r).Decode(out); err != nil {
			return fmt.Errorf("read answer: %w", err)
		}
		return nil
	}
}

// lines reads one T a line and hands each to each.
func lines[T any](each func(T) error) func(io.Reader) error {
	return func(r io.Reader) error {
		decoder := json.NewDecoder(bufio.NewReader(r))
		for {
			var line T
			if err := decoder.Decode(&line); err == io.EOF {
				return nil
			} else if err != nil {
				return fmt.Errorf("read answer: %w", err)
			}
			if err := each(line); err != nil {
				return stopped{err}
			}
		}
	}
}

// stopped is the caller's own wish to end a stream.
type stopped struct{ cause error }

func (s stopped) Error() string { return s.cause.Error() }
func (s stopped) Unwrap() error { return s.cause }

// pause waits for d and reports false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
