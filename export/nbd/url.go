package nbd

import (
	"fmt"
	"net/url"
	"strings"
)

// Address says where an export is: a unix socket and the export's name on it.
type Address struct {
	Socket string // path
	Name   string // empty asks for the default export
}

// ParseURL reads nbd+unix:///NAME?socket=PATH.
func ParseURL(s string) (Address, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Address{}, fmt.Errorf("NBD address: %w", err)
	}
	socket := u.Query().Get("socket")
	if u.Scheme != "nbd+unix" || u.Host != "" || socket == "" {
		return Address{}, fmt.Errorf("NBD address %q: want nbd+unix:///NAME?socket=PATH", s)
	}
	return Address{Socket: socket, Name: strings.TrimPrefix(u.Path, "/")}, nil
}

// String returns the form that ParseURL reads, and foreign clients too.
func (a Address) String() string {
	u := url.URL{Scheme: "nbd+unix", Path: "/" + a.Name, RawQuery: "socket=" + escapeSocket(a.Socket)}
	return u.String()
}

// escapeSocket escapes what ends or splits a query, but leaves slashes: people read these paths.
func escapeSocket(path string) string {
	return strings.ReplaceAll(url.QueryEscape(path), "%2F", "/")
}
