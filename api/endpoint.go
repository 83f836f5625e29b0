package api

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The deadlines of reaching an endpoint. A process that was stopped still accepts connections, so
// an endpoint counts only once it answered a ping.
const (
	dialTimeout = time.Second
	pingTimeout = 1500 * time.Millisecond
)

// endpoint is one way to reach the API.
type endpoint struct {
	text  string // as the user wrote it
	base  string // scheme and host for requests
	http  *http.Client
	token string // "" if there is none
}

// show puts the caller's token into a request.
func (e endpoint) show(r *http.Request) {
	if e.token != "" {
		r.Header.Set(tokenHeader, tokenScheme+e.token)
	}
}

// parseEndpoints reads a comma-separated list of unix:///path and https://host:port.
func parseEndpoints(o ClientOptions) ([]endpoint, error) {
	var all []endpoint
	for text := range strings.SplitSeq(o.Endpoints, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		e, err := parseEndpoint(text, o)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no API endpoint: set HOLDFAST_API or --api, as in unix:///run/holdfast/api.sock")
	}
	return all, nil
}

func parseEndpoint(text string, o ClientOptions) (endpoint, error) {
	u, err := url.Parse(text)
	if err != nil {
		return endpoint{}, fmt.Errorf("API endpoint %q: %w", text, err)
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	transport := &http.Transport{
		TLSClientConfig: o.TLS, TLSHandshakeTimeout: dialTimeout, IdleConnTimeout: 30 * time.Second,
		DialContext: dialer.DialContext,
	}
	e := endpoint{text: text, http: &http.Client{Transport: transport}}
	switch {
	case u.Scheme == "unix" && u.Host == "" && u.Path != "":
		e.base = "http://holdfast"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", u.Path)
		}
	case u.Scheme == "https" && u.Port() != "" && strings.Trim(u.Path, "/") == "":
		e.base, e.token = "https://"+u.Host, o.Token
	default:
		return endpoint{}, fmt.Errorf("API endpoint %q: want unix:///path or https://host:port", text)
	}
	return e, nil
}

// ping returns nil if the endpoint answers within pingTimeout.
func (e endpoint) ping(ctx context.Context) error {
	return ping(ctx, e.http, e.base, e.show)
}

// ping asks for a sign of life. One that is refused is a sign of life, too: the call itself will say why.
func ping(ctx context.Context, client *http.Client, base string, show func(*http.Request)) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+PathPing, nil)
	if err != nil {
		return err
	}
	show(req)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK, http.StatusUnauthorized, http.StatusForbidden:
	default:
		return fmt.Errorf("ping: %s", res.Status)
	}
	return nil
}

// guard returns a context that ends with errSilent when pings fail twice in a row, so that a call
// to a process that was stopped or cut off does not wait for ever. Call release, which waits.
func guard(ctx context.Context, every time.Duration, ping func(context.Context) error) (context.Context,
	func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for failures := 0; failures < 2; {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if err := ping(ctx); err != nil {
				failures++
			} else {
				failures = 0
			}
		}
		cancel(errSilent)
	}()
	return ctx, func() {
		cancel(nil)
		<-finished
	}
}
