package nbd

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// DefaultPort is the TCP port of NBD.
const DefaultPort = "10809"

// Address says where an export is: a unix socket or a host, and the export's name there.
type Address struct {
	Socket string // path; "" with Host
	Host   string // host:port, reached by TCP with TLS
	Name   string // empty asks for the default export
	// Certificates is a directory of what the client verifies a Host with, and shows it: ca-cert.pem, client-cert.pem
	// and client-key.pem.
	Certificates string
}

// ParseURL reads nbd+unix:///NAME?socket=PATH and nbds://HOST[:PORT]/NAME[?tls-certificates=DIR].
func ParseURL(s string) (Address, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Address{}, fmt.Errorf("NBD address: %w", err)
	}
	a := Address{Name: strings.TrimPrefix(u.Path, "/")}
	socket := u.Query().Get("socket")
	switch {
	case u.Scheme == "nbd+unix" && u.Host == "" && socket != "":
		a.Socket = socket
		return a, nil
	case u.Scheme == "nbds" && u.Hostname() != "" && socket == "" && u.User == nil:
		port := u.Port()
		if port == "" {
			port = DefaultPort
		}
		a.Host, a.Certificates = net.JoinHostPort(u.Hostname(), port), u.Query().Get("tls-certificates")
		return a, nil
	}
	return Address{}, fmt.Errorf("NBD address %q: want nbd+unix:///NAME?socket=PATH or nbds://HOST:PORT/NAME", s)
}

// String returns the form that ParseURL reads, and foreign clients too.
func (a Address) String() string {
	u := url.URL{Scheme: "nbd+unix", Path: "/" + a.Name}
	switch {
	case a.Host == "":
		u.RawQuery = "socket=" + escapePath(a.Socket)
	case a.Certificates == "":
		u.Scheme, u.Host = "nbds", a.Host
	default:
		u.Scheme, u.Host, u.RawQuery = "nbds", a.Host, "tls-certificates="+escapePath(a.Certificates)
	}
	return u.String()
}

// escapePath escapes what ends or splits a query, but leaves slashes: people read these paths.
func escapePath(path string) string {
	return strings.ReplaceAll(url.QueryEscape(path), "%2F", "/")
}
