package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"crypto/sha256"

	"github.com/holdfast-storage/holdfast/volume"
)

// uploadIdle is how long an upload is kept of which nothing more comes.
const uploadIdle = 10 * time.Minute

// uploadsMax bounds how many go on at once.
const uploadsMax = 16

// uploads are the contents that users send to this node.
type uploads struct {
	store *store
	keep  func(volume.Digest) // called before content takes its place; it must not block

	mu   sync.Mutex // guards open
	open map[string]*upload
}

// upload is one of them.
type upload struct {
	mu      sync.Mutex // guards what follows; held while bytes are written
	part    *partial
	over    bool
	sealed  volume.Digest // what it became
	touched time.Time
}

// begin makes room for a content of this size, 0 if it is not known, and returns the upload's name.
func (u *uploads) begin(size int64) (string, error) {
	if err := u.store.room(size); err != nil {
		return "", err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if n := u.underWay(); n >= uploadsMax {
		return "", fmt.Errorf("%d images are being uploaded to this node: wait for one of them", n)
	}
	id := volume.NewUUID().String()
	f, err := os.OpenFile(filepath.Join(u.store.dir, uploadPrefix+id), os.O_CREATE|os.O_EXCL|os.O_RDWR,
		partMode)
	if err != nil {
		return "", fmt.Errorf("images: %w", err)
	}
	u.open[id] = &upload{part: &partial{file: f, sum: sha256.New()}, touched: time.Now()}
	return id, nil
}

// underWay counts the uploads that are not over. One that is busy is not, and is not waited for. The caller holds mu.
func (u *uploads) underWay() int {
	n := 0
	for _, up := range u.open {
		if !up.mu.TryLock() {
			n++
			continue
		}
		if !up.over {
			n++
		}
		up.mu.Unlock()
	}
	return n
}

func (u *uploads) find(id string) (*upload, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if up := u.open[id]; up != nil {
		return up, nil
	}
	return nil, errors.New("this node has no such upload: it was restarted, or nothing more came for too long; " +
		"begin anew")
}

// write appends bytes that belong at an offset, and returns how many are there. What was written before, by a request
// whose answer was lost, is left out.
func (u *uploads) write(id string, at int64, data []byte) (int64, error) {
	up, err := u.find(id)
	if err != nil {
		return 0, err
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	switch {
	case up.over:
		return up.part.size, errors.New("the upload is over")
	case at < 0 || at > up.part.size:
		return up.part.size, fmt.Errorf("the upload has %d bytes, those that came belong at %d", up.part.size, at)
	case at+int64(len(data)) <= up.part.size:
		return up.part.size, nil
	}
	data = data[up.part.size-at:]
	if err := u.store.room(int64(len(data))); err != nil {
		return up.part.size, err
	}
	up.touched = time.Now()
	_, err = up.part.Write(data)
	return up.part.size, err
}

// seal makes an upload a blob, if it is what was sent. Empty digest and zero size are whatever it is. Asked again it
// says the same.
func (u *uploads) seal(id string, digest volume.Digest, size int64) (volume.Digest, int64, error) {
	up, err := u.find(id)
	if err != nil {
		return "", 0, err
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	got := up.part.digest()
	switch {
	case up.over && up.sealed == "":
		return "", 0, errors.New("the upload is over")
	case size != 0 && size != up.part.size, up.part.size == 0:
		return "", up.part.size, fmt.Errorf("%d bytes came of %d", up.part.size, size)
	case digest != "" && digest != got:
		return "", up.part.size, fmt.Errorf("what came has the digest %s, not %s", got, digest)
	case up.over:
		return up.sealed, up.part.size, nil
	}
	u.keep(got)
	if err := u.store.install(up.part.file, got); err != nil {
		up.over = true // its file is closed, so nothing more can be made of it
		_ = os.Remove(up.part.file.Name())
		return "", 0, err
	}
	up.over, up.sealed = true, got
	return got, up.part.size, nil
}

// end forgets an upload; what it became stays.
func (u *uploads) end(id string) {
	u.mu.Lock()
	up := u.open[id]
	delete(u.open, id)
	u.mu.Unlock()
	if up == nil {
		return
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	if !up.over {
		up.over = true
		_ = up.part.close()
		_ = os.Remove(up.part.file.Name()) // openStore does it, if this does not
	}
}

// expire ends the uploads of which nothing came since a time; all of them, if it is zero. One that is busy is not idle:
// it is not waited for, since a disk that is slow may keep it so for minutes.
func (u *uploads) expire(before time.Time) {
	u.mu.Lock()
	var idle []string
	for id, up := range u.open {
		if !up.mu.TryLock() {
			continue
		}
		if before.IsZero() || up.touched.Before(before) {
			idle = append(idle, id)
		}
		up.mu.Unlock()
	}
	u.mu.Unlock()
	for _, id := range idle {
		u.end(id)
	}
}
