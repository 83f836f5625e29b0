package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// listenTCP opens one of the node's addresses; field is its name in the configuration.
func listenTCP(ctx context.Context, field, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s: %s is in use by another process: stop that one, or choose another port",
			field, address)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	return l, nil
}

// listenUnix opens the public API's socket for this user alone. A socket that nobody serves any more
// is replaced, one that somebody serves is not.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("api_socket: %w", err)
	}
	if conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("api_socket: %s is in use by another daemon: "+
			"stop that one, or choose another path", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("api_socket: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("api_socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("api_socket: %w", err), l.Close())
	}
	return l, nil
}

// The deadlines of the HTTP servers. Answers have none: watches and streams last.
const (
	headerTimeout   = 5 * time.Second
	idleTimeout     = 2 * time.Minute
	httpStopTimeout = 2 * time.Second
)

// serveHTTP serves until ctx ends, which also ends the requests that still run.
func serveHTTP(ctx context.Context, l net.Listener, handler http.Handler, security *tls.Config,
	log *slog.Logger) error {
	server := &http.Server{
		Handler: handler, TLSConfig: security, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	interrupt := context.AfterFunc(ctx, func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpStopTimeout)
		defer cancel()
		err := server.Shutdown(limited)
		if err != nil {
			err = server.Close()
		}
		stopped <- err
	})
	var err error
	if security == nil {
		err = server.Serve(l)
	} else {
		err = server.ServeTLS(l, "", "")
	}
	if interrupt() {
		return fmt.Errorf("serve %s: %w", l.Addr(), errors.Join(err, server.Close()))
	}
	return <-stopped
}
