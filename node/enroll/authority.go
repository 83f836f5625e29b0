package enroll

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/node/identity"
	"github.com/holdfast-storage/holdfast/raft"
)

// authorityFile, in a data directory, holds the CA of a cluster that has not begun yet.
const authorityFile = "authority.json"

// SaveAuthority puts the CA of a new cluster, whose nodes get certificates of this lifetime, into the data
// directory, made if missing, of a coordinator with which it begins. The first leader hands it to all
// coordinators; from then on they have it, and the file is removed.
func SaveAuthority(dataDir string, ca *identity.CA, lifetime time.Duration) error {
	cert, key, err := ca.Export()
	if err != nil {
		return err
	}
	text, err := json.Marshal(raft.SetAuthority{Cert: cert, Key: key, Lifetime: lifetime})
	if err != nil {
		return fmt.Errorf("cluster CA: %w", err)
	}
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	return durable.WriteFile(filepath.Join(dataDir, authorityFile), text, 0o600)
}

// LoadAuthority returns the CA that waits in a data directory to be handed over, nil if none does.
func LoadAuthority(dataDir string) (*raft.SetAuthority, error) {
	path := filepath.Join(dataDir, authorityFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cluster CA: %w", err)
	}
	var a raft.SetAuthority
	if json.Unmarshal(text, &a) != nil {
		return nil, fmt.Errorf("cluster CA: %s is damaged", path) // it is a secret: not quoted
	}
	return &a, nil
}

// ForgetAuthority removes what SaveAuthority left; nothing there is no error.
func ForgetAuthority(dataDir string) error {
	err := os.Remove(filepath.Join(dataDir, authorityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
