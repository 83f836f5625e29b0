package image

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
)

// What a guest waits for is tried again in time, whatever takes long meanwhile.
func TestKeeper_theUrgentIsTriedAgainDuringTheRest(t *testing.T) {
	a, b := newMachine(t), newMachine(t)
	slow, slowDigest := content(1, 800<<10)
	fast, fastDigest := content(2, 100<<10)
	put(t, a.keeper.store, slow, slowDigest)
	put(t, a.keeper.store, fast, fastDigest)
	refused := false
	a.spoils(func(w http.ResponseWriter, r *http.Request, give http.HandlerFunc) {
		switch {
		case r.FormValue("digest") == string(slowDigest):
			trickle(w, r, slow)
		case !refused:
			refused = true
			http.Error(w, "not yet", http.StatusServiceUnavailable)
		default:
			give(w, r)
		}
	})
	b.order(orderFrom(fast, fastDigest, a), orderFrom(slow, slowDigest, a))
	require.Eventually(t, func() bool { // not by Sound, which has the keeper look again
		_, waits := b.keeper.Blob(fastDigest)
		return waits == ""
	}, 5*time.Second, 5*time.Millisecond)
}

// trickle gives a byte now and then, so that it does not count as silent.
func trickle(w http.ResponseWriter, r *http.Request, data []byte) {
	w.Header().Set("Content-Range", "bytes 0-819199/819200")
	w.WriteHeader(http.StatusPartialContent)
	every := time.NewTicker(50 * time.Millisecond)
	defer every.Stop()
	for i := range data {
		_, _ = w.Write(data[i : i+1])
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-every.C:
		}
	}
}

// Content that nobody wanted for long and that is sent once more is not removed under the new version's feet.
func TestKeeper_whatIsSentAnewStays(t *testing.T) {
	a := newMachine(t)
	a.stop()
	k := a.keeper
	data, d := content(1, 100)
	put(t, k.store, data, d)
	a.order()
	k.noteUnwanted()
	k.mu.Lock()
	k.unwanted[d] = time.Now().Add(-removeAfter)
	k.mu.Unlock()
	due := k.next(time.Now())
	require.Equal(t, stepRemove, due.step)

	say := func(method string, u peer.ImageUpload, body []byte) {
		w := httptest.NewRecorder()
		k.Upload(w, httptest.NewRequest(method, peer.PathImageUpload+"?"+u.Values().Encode(), bytes.NewReader(body)))
		require.Equal(t, http.StatusOK, w.Code)
		require.NotContains(t, w.Body.String(), "error")
	}
	id, err := k.uploads.begin(0)
	require.NoError(t, err)
	say(http.MethodPut, peer.ImageUpload{ID: id}, data)
	say(http.MethodPost, peer.ImageUpload{ID: id, Digest: d, Size: 100}, nil)
	require.NoError(t, k.do(t.Context(), due), "as was decided before")
	require.NoError(t, k.Sound(d))
	k.noteUnwanted()
	require.Equal(t, stepNone, k.next(time.Now()).step)

	k.mu.Lock()
	k.unwanted[d] = time.Now().Add(-removeAfter)
	k.mu.Unlock()
	due = k.next(time.Now())
	require.Equal(t, stepRemove, due.step)
	a.order(peer.ImageOrder{Digest: d, SizeBytes: 100, Has: true})
	require.NoError(t, k.do(t.Context(), due), "it is wanted again")
	require.NoError(t, k.Sound(d))
}

// What is put aside for whoever wants to look takes no room from the blob itself.
func TestPull_whatWasPutAsideMakesRoom(t *testing.T) {
	a := newMachine(t)
	a.stop()
	data, d := content(1, 100)
	bad := a.keeper.store.path(d) + badSuffix
	require.NoError(t, os.WriteFile(bad, data, 0o600))
	require.NoError(t, a.keeper.store.makeRoom(d, 1))
	require.FileExists(t, bad, "there is room for both")
	o := orderFrom(data, d)
	o.SizeBytes = 1 << 60
	require.ErrorIs(t, a.keeper.pull(t.Context(), o), ErrNoRoom)
	require.NoFileExists(t, bad)
}

// An upload that is written for long keeps neither other uploads nor the keeper waiting.
func TestUploads_oneThatIsBusy(t *testing.T) {
	a := newMachine(t)
	a.stop()
	u := a.keeper.uploads
	id, err := u.begin(0)
	require.NoError(t, err)
	up := u.open[id]
	up.mu.Lock() // as write and seal do
	over := make(chan error)
	go func() {
		u.expire(time.Now().Add(time.Hour))
		_, err := u.begin(0)
		over <- err
	}()
	select {
	case err := <-over:
		require.NoError(t, err)
	case <-time.After(5 * time.Second):
		t.Error("it waits")
	}
	up.mu.Unlock()
	_, err = u.find(id)
	require.NoError(t, err, "one that is busy is not idle")
}
