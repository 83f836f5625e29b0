package image

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/volume"
)

// checkedName is the file that says when each blob was last read as a whole. It decides only which one is read first,
// so a file that is missing or cannot be read costs nothing but that.
const checkedName = "checked.json"

// checked remembers across restarts when the blobs of a directory were last known to be right. It is safe for
// concurrent use.
type checked struct {
	path string

	writing sync.Mutex // held while the file is written; before mu
	mu      sync.Mutex // guards at; never held across I/O
	at      map[volume.Digest]time.Time
}

// openChecked reads what a daemon before wrote of the blobs that are here. A time that is yet to come is of a clock
// that was wrong, and counts as never.
func openChecked(dir string, here map[volume.Digest]*blob, now time.Time) *checked {
	c := &checked{path: filepath.Join(dir, checkedName), at: make(map[volume.Digest]time.Time)}
	var said map[volume.Digest]time.Time
	text, err := os.ReadFile(c.path)
	if err != nil || json.Unmarshal(text, &said) != nil {
		return c
	}
	for d, at := range said { // all of them, so the order of the map does not matter
		if here[d] != nil && !at.After(now) {
			c.at[d] = at
		}
	}
	return c
}

// last returns when a blob was last known to be right, zero if never. It does not block on a disk.
func (c *checked) last(d volume.Digest) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at[d]
}

// note remembers that a blob was right now, and forget that there is none. What cannot be written is forgotten by the
// next start, which then reads the blob earlier than need be.
func (c *checked) note(d volume.Digest, now time.Time) { c.change(func() { c.at[d] = now }) }

func (c *checked) forget(d volume.Digest) { c.change(func() { delete(c.at, d) }) }

func (c *checked) change(how func()) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	how()
	all := maps.Clone(c.at)
	c.mu.Unlock()
	if len(all) == 0 {
		_ = os.Remove(c.path) // as above
		return
	}
	text, err := json.Marshal(all)
	if err == nil {
		_ = durable.WriteFile(c.path, text, partMode) // as above
	}
}

// halfChecked reports whether a file is one that a daemon was writing when it died.
func halfChecked(name string) bool { return strings.HasPrefix(name, "."+checkedName+".") }
