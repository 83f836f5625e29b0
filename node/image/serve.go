package image

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// servePatience is how long whoever gets a blob may take to take in a piece of it.
const servePatience = 30 * time.Second

// Give answers peer.PathImage: a range of a blob that this daemon has verified. Who may ask is the caller's to see to.
func (k *Keeper) Give(w http.ResponseWriter, r *http.Request) {
	d := volume.Digest(r.FormValue("digest"))
	if err := d.Check(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f, err := k.store.open(d)
	switch {
	case errors.Is(err, ErrNone):
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	case err != nil:
		k.nudge()
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer f.Close() // only read from
	w.Header().Set("Content-Type", "application/octet-stream")
	control := http.NewResponseController(w)
	http.ServeContent(patient{w, control}, r, "", time.Time{}, f)
	_ = control.SetWriteDeadline(time.Time{}) // the connection may go on
}

// patient is an answer of which each piece has to be taken in within servePatience.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (p patient) Write(data []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(servePatience)); err != nil {
		return 0, err
	}
	return p.ResponseWriter.Write(data)
}

// Doubt answers peer.PathImageDoubt: the file of a blob is read anew before anybody gets it again.
func (k *Keeper) Doubt(w http.ResponseWriter, r *http.Request) {
	d := volume.Digest(r.FormValue("digest"))
	if err := d.Check(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if k.mayDoubt(d) && k.store.doubt(d) {
		k.log.Warn("another node got wrong content from this one: the file is read anew", "digest", string(d))
		k.nudge()
	}
	w.WriteHeader(http.StatusNoContent)
}

// mayDoubt reports whether a blob has not been doubted for a while: reading it again and again would keep guests from
// it.
func (k *Keeper) mayDoubt(d volume.Digest) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, now := k.about[d], time.Now()
	if a == nil || now.Sub(a.doubted) < doubtEvery {
		return false
	}
	a.doubted = now
	return true
}

// uploadBytesMax bounds what is appended at once.
const uploadBytesMax = 4 << 20

// Upload answers peer.PathImageUpload. Who may ask is the caller's to see to.
func (k *Keeper) Upload(w http.ResponseWriter, r *http.Request) {
	u := peer.ParseImageUpload(r.URL.Query())
	answer := peer.Uploaded{ID: u.ID}
	var err error
	switch {
	case r.Method == http.MethodPost && u.ID == "":
		answer.ID, err = k.uploads.begin(u.Size)
	case r.Method == http.MethodPost:
		answer.Digest, answer.Bytes, err = k.uploads.seal(u.ID, u.Digest, u.Size)
	case r.Method == http.MethodDelete:
		k.uploads.end(u.ID)
	case r.Method == http.MethodPut:
		var data []byte
		if data, err = io.ReadAll(http.MaxBytesReader(w, r.Body, uploadBytesMax)); err == nil {
			answer.Bytes, err = k.uploads.write(u.ID, u.At, data)
		}
	default:
		http.Error(w, r.Method+" is unknown here", http.StatusMethodNotAllowed)
		return
	}
	if err != nil {
		answer.Error = api.Errorf(api.CodeFailed, "", "", "%s", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // who asked may be gone
}
