package node

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/host"
	"github.com/holdfast-storage/holdfast/node/peer"
)

// consolePatience is how long whoever asked for a console may take to take in a line of it.
const consolePatience = 10 * time.Second

// consoleBytesMax bounds what is typed at once: api.TypeMax in base64, and what is around it.
const consoleBytesMax = 2*api.TypeMax + 4096

// withConsoles adds to the paths between nodes that of the consoles of this host's guests. It is for coordinators,
// which have looked at the role of who asks.
func (d *Daemon) withConsoles(peers http.Handler) http.Handler {
	if d.host == nil {
		return peers
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+peer.PathConsole, d.forCoordinators(d.serveConsole))
	mux.Handle("POST "+peer.PathConsole, d.forCoordinators(d.serveTyping))
	mux.Handle("/", peers)
	return mux
}

// forCoordinators refuses everybody but the coordinators that this node knows of.
func (d *Daemon) forCoordinators(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := d.identify(r)
		if err == nil && !slices.ContainsFunc(d.knownPeers(), func(p peer.Peer) bool { return p.ID == id }) {
			err = errors.New("it is no coordinator that this node knows of")
		}
		if err != nil {
			http.Error(w, "this is for coordinators alone: "+err.Error(), http.StatusForbidden)
			return
		}
		next(w, r)
	})
}

// serveConsole streams what a guest writes. The last line says why the stream is over.
func (d *Daemon) serveConsole(w http.ResponseWriter, r *http.Request) {
	lines := consoleLines{w, consolePatience}
	w.Header().Set("Content-Type", "application/x-ndjson")
	use := host.ConsoleUse(peer.ParseConsoleQuery(r.URL.Query()))
	err := d.host.Console(r.Context(), use, func(data []byte) error {
		if len(data) == 0 {
			return lines.write(api.ConsoleOutput{Host: d.config.Name})
		}
		return lines.write(api.ConsoleOutput{Data: data})
	})
	_ = lines.write(api.ConsoleOutput{Error: apiError(err)}) // who asked may be gone
}

// consoleLines are the lines of a stream, each of which is taken in within patience.
type consoleLines struct {
	w        http.ResponseWriter
	patience time.Duration
}

func (l consoleLines) write(out api.ConsoleOutput) error {
	control := http.NewResponseController(l.w)
	if err := control.SetWriteDeadline(time.Now().Add(l.patience)); err != nil {
		return err
	}
	if err := json.NewEncoder(l.w).Encode(out); err != nil {
		return err
	}
	if err := control.Flush(); err != nil {
		return err
	}
	// HTTP/2 ends a stream when its deadline comes, also one on which there is nothing to write.
	return control.SetWriteDeadline(time.Time{})
}

// serveTyping has a guest read what somebody at its console typed.
func (d *Daemon) serveTyping(w http.ResponseWriter, r *http.Request) {
	var typed api.TypeConsole
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, consoleBytesMax)).Decode(&typed); err != nil {
		http.Error(w, "request body: "+err.Error(), http.StatusBadRequest)
		return
	}
	var answer peer.Typed
	if err := d.host.TypeConsole(r.FormValue("domain"), typed); err != nil {
		answer.Error = apiError(err)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // who asked may be gone
}

// apiError returns an error as the API's.
func apiError(err error) *api.Error {
	var e *api.Error
	if errors.As(err, &e) {
		return e
	}
	return api.Errorf(api.CodeFailed, "", "", "%s", err)
}
