package node

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/holdfast-storage/holdfast/node/host"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// receivingFinder finds the guest of a domain that this host takes in by an operation, for who sends it.
type receivingFinder func(ctx context.Context, from volume.NodeID, domain string, operation uint64) (*host.Receiving,
	error)

// withMigrations adds to the paths between nodes those by which another host sends this one a guest.
func (d *Daemon) withMigrations(peers http.Handler) http.Handler {
	if d.host == nil {
		return peers
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+peer.PathMigrate, d.serveMigrate)
	mux.HandleFunc("GET "+peer.PathMigrated, d.serveMigrated)
	mux.Handle("/", peers)
	return mux
}

// receiving returns the guest that a request is about, as find does, nil if it was answered. Only the host that has it
// may ask.
func (d *Daemon) receiving(w http.ResponseWriter, r *http.Request, find receivingFinder) *host.Receiving {
	from, err := d.identify(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return nil
	}
	operation, err := strconv.ParseUint(r.FormValue("operation"), 10, 64)
	if err != nil {
		http.Error(w, "operation: "+err.Error(), http.StatusBadRequest)
		return nil
	}
	guest, err := find(r.Context(), from, r.FormValue("domain"), operation)
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return nil
	}
	return guest
}

// serveMigrate makes the connection the stream of a guest's state.
func (d *Daemon) serveMigrate(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != peer.UpgradeMigrate {
		w.Header().Set("Upgrade", peer.UpgradeMigrate)
		http.Error(w, "this is for a guest's state alone", http.StatusUpgradeRequired)
		return
	}
	// First, since a process is sent one state: who is refused here may ask again.
	guest := d.receiving(w, r, d.host.Receiving)
	if guest == nil {
		return
	}
	if err := guest.Reaches(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	if guest = d.receiving(w, r, d.host.Receive); guest == nil {
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, err = fmt.Fprintf(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n",
		peer.UpgradeMigrate)
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		_ = conn.Close()
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	defer context.AfterFunc(d.host.Life(), cancel)()
	if err := guest.Take(ctx, hijacked{conn, buffered.Reader}); err != nil {
		d.log.Warn("a guest that is sent was not taken in", "domain", r.FormValue("domain"), "error", err)
	}
}

// hijacked is a connection of which something may have been read already.
type hijacked struct {
	net.Conn
	read interface{ Read([]byte) (int, error) }
}

func (h hijacked) Read(p []byte) (int, error) { return h.read.Read(p) }

// serveMigrated says whether the guest is here as a whole.
func (d *Daemon) serveMigrated(w http.ResponseWriter, r *http.Request) {
	if guest := d.receiving(w, r, d.host.Receiving); guest != nil {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(guest.Loaded(r.Context())) // who asked is gone, if that fails
	}
}
