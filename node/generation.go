package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/node/peer"
)

// generationFile remembers which restore of the cluster the node follows, across restarts: coordinators of
// before a restore must not win it back.
const generationFile = "generation.json"

// generation is which restore of the cluster the node follows.
type generation struct {
	path string
	mu   sync.Mutex // held while the file is written, so that it is never older than what is followed
	have peer.Lineage
	// rival is the latest restore of the same generation that was heard and is not followed.
	rival peer.Lineage
}

// generation reads what the node follows. A damaged file is an error: taking none for it would let
// coordinators of before the restore have a say again.
func (d *dataDir) generation() (*generation, error) {
	g := &generation{path: d.file(generationFile)}
	text, err := os.ReadFile(g.path)
	if errors.Is(err, fs.ErrNotExist) {
		return g, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &g.have)
	}
	if err != nil {
		return nil, fmt.Errorf("which restore of the cluster this node follows: %s: %w: holdfast cluster status tells "+
			"the incarnation and generation that belong there", g.path, err)
	}
	return g, nil
}

// lineage returns what the node follows.
func (g *generation) lineage() peer.Lineage {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.have
}

// follow takes a lineage in that is newer, durably, and says what it is.
func (g *generation) follow(heard peer.Lineage) (peer.Heard, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	verdict := g.have.Judge(heard)
	if verdict != peer.HeardNewer {
		return verdict, nil
	}
	return verdict, g.write(heard)
}

// newRival notes a rival restore, and reports whether it is another one than the latest.
func (g *generation) newRival(heard peer.Lineage) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	isNew := g.rival != heard
	g.rival = heard
	return isNew
}

func (g *generation) write(l peer.Lineage) error {
	text, err := json.Marshal(l)
	if err == nil {
		err = durable.WriteFile(g.path, append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("which restore of the cluster this node follows: %w", err)
	}
	g.have = l
	return nil
}
