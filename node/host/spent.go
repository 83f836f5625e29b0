package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"sync"

	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/volume"
)

// ledger remembers, for each volume, the latest attachment that an engine was started for. It is
// durable: even after a restart of the machine a second engine with the secrets of the same
// attachment could pass for the first one, and finish or repeat writes that it knows nothing of. What it says of a
// volume is kept for as long as there is that volume: a coordinator that lags may name an old attachment of it at any
// time. Of one that was deleted there is nothing left to write to, and its id never comes again.
type ledger struct {
	path string

	mu    sync.Mutex // held while the file is written, so that the file is never older than spent
	spent map[volume.ID]volume.AttachID
}

// openLedger reads the file at path; a missing one is an empty ledger, a damaged one is an error.
func openLedger(path string) (*ledger, error) {
	l := &ledger{path: path, spent: make(map[volume.ID]volume.AttachID)}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("attachments of this host: %w", err)
	}
	if err := json.Unmarshal(text, &l.spent); err != nil {
		return nil, fmt.Errorf("attachments of this host: %s is damaged: %w: "+
			"detach or move its volumes, then remove the file", path, err)
	}
	return l, nil
}

// record notes an attachment. When it returns nil, no restart forgets it.
func (l *ledger) record(v volume.ID, a volume.AttachID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := maps.Clone(l.spent)
	next[v] = a
	return l.replace(next)
}

// forget drops what was recorded of volumes that there are no more, unless something else was recorded of them since.
func (l *ledger) forget(gone map[volume.ID]volume.AttachID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := maps.Clone(l.spent)
	maps.DeleteFunc(next, func(v volume.ID, a volume.AttachID) bool { return gone[v] == a && !a.IsZero() })
	if len(next) == len(l.spent) {
		return nil
	}
	return l.replace(next)
}

// replace writes the file anew. The caller holds the lock.
func (l *ledger) replace(next map[volume.ID]volume.AttachID) error {
	text, err := json.MarshalIndent(next, "", "  ")
	if err != nil {
		return fmt.Errorf("attachments of this host: %w", err)
	}
	if err := durable.WriteFile(l.path, append(text, '\n'), 0o600); err != nil {
		return err
	}
	l.spent = next
	return nil
}

// snapshot returns all that was recorded.
func (l *ledger) snapshot() map[volume.ID]volume.AttachID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.spent)
}
