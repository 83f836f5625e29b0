package leg

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"sync"

	"github.com/holdfast-storage/holdfast/volume"
)

// The names in a store; docs/ondisk.md describes them.
const (
	identityName = "store.json"
	lockName     = "lock"
	legsName     = "legs"
	tmpName      = "tmp"
	labelName    = "label"
	dataName     = "data"
	sumsName     = "checksums"
	failedName   = "failed"
	witnessName  = "witness"
)

// storeFormat is the version of the store's layout, and the only one that this program opens.
const storeFormat = 1

// storeIdentity is what store.json holds.
type storeIdentity struct {
	Format   int            `json:"format"`
	Store    volume.StoreID `json:"store_id"`
	Node     volume.NodeID  `json:"node_id"`
	Checksum uint32         `json:"crc32c"` // of the three fields above, as checksum makes it
}

func (i storeIdentity) checksum() uint32 {
	text := fmt.Sprintf("%d %s %s", i.Format, i.Store, i.Node)
	return crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli))
}

// InitStore makes a new, empty store in an empty directory and binds it to a node. A directory that
// holds anything of a store is refused: an identity is never made anew over legs.
func InitStore(fsys FS, id volume.StoreID, node volume.NodeID) error {
	names, err := fsys.ReadDir(".")
	if err != nil {
		return fmt.Errorf("make store %s: %w", id, err)
	}
	if slices.Contains(names, identityName) {
		return fmt.Errorf("make store %s: the directory holds a store already", id)
	}
	if slices.Contains(names, legsName) {
		legs, err := fsys.ReadDir(legsName)
		if err != nil {
			return fmt.Errorf("make store %s: %w", id, err)
		}
		if len(legs) > 0 {
			return fmt.Errorf("make store %s: the directory holds %d legs of another store; use an empty one",
				id, len(legs))
		}
	}
	if err := initStore(fsys, id, node); err != nil {
		return fmt.Errorf("make store %s: %w", id, err)
	}
	return nil
}

func initStore(fsys FS, id volume.StoreID, node volume.NodeID) error {
	identity := storeIdentity{Format: storeFormat, Store: id, Node: node}
	identity.Checksum = identity.checksum()
	text, err := json.MarshalIndent(identity, "", "  ")
	if err != nil {
		return err
	}
	// The identity comes last and in one step: with it the store is whole.
	if err := fsys.RemoveAll(tmpName); err != nil {
		return err
	}
	for _, dir := range []string{tmpName, legsName} {
		if err := fsys.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := fsys.SyncDir("."); err != nil {
		return err
	}
	fresh := tmpName + "/" + identityName
	if err := writeFile(fsys, fresh, append(text, '\n')); err != nil {
		return err
	}
	if err := fsys.Rename(fresh, identityName); err != nil {
		return err
	}
	return fsys.SyncDir(".")
}

// writeFile makes a new file with these bytes and syncs it.
func writeFile(fsys FS, path string, text []byte) error {
	file, err := fsys.Create(path)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(text, 0)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// readFile reads a small file of at most limit bytes.
func readFile(fsys FS, path string, limit int64) ([]byte, error) {
	file, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.NewSectionReader(file, 0, limit))
	return text, errors.Join(err, file.Close())
}

// StoreOptions configures OpenStore.
type StoreOptions struct {
	BootID   string       // identity of this boot, from ReadBootID; required
	Instance uint64       // random, one for the life of the process
	Logger   *slog.Logger // nil discards
	Broken   Rules        // for tests: rules that the store's legs break
}

// Store is a directory of legs that this process alone uses. It is safe for use by many goroutines.
type Store struct {
	fsys     FS
	identity storeIdentity
	boot     volume.UUID
	instance uint64
	broken   Rules
	lock     io.Closer
	witness  *witness // nil if there is no memory for one
	log      *slog.Logger

	mu     sync.Mutex
	legs   map[volume.LegID]*Leg // open ones
	closed bool
}

// OpenStore locks a store and opens it. The error wraps ErrNoStore for a directory without an
// identity, ErrInUse if another process has it.
func OpenStore(fsys FS, o StoreOptions) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.BootID == "" {
		return nil, errors.New("open store: no boot id was given")
	}
	identity, err := readIdentity(fsys)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	mount, err := fsys.Mount()
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", identity.Store, err)
	}
	lock, err := fsys.Lock(lockName)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", identity.Store, err)
	}
	s := &Store{
		fsys: fsys, identity: identity, boot: bootIdentity(o.BootID, mount), instance: o.Instance, broken: o.Broken,
		lock: lock, log: o.Logger.With("store", identity.Store.String()),
		legs: map[volume.LegID]*Leg{},
	}
	if err := s.sweep(); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", identity.Store, err), lock.Close())
	}
	return s, nil
}

func readIdentity(fsys FS) (storeIdentity, error) {
	var i storeIdentity
	text, err := readFile(fsys, identityName, 4096)
	if errors.Is(err, fs.ErrNotExist) {
		return i, fmt.Errorf("%w: %s is missing (an empty disk, or one that is not mounted)", ErrNoStore,
			identityName)
	}
	if err != nil {
		return i, err
	}
	if err := json.Unmarshal(text, &i); err != nil {
		return i, fmt.Errorf("%s is corrupt: %w", identityName, err)
	}
	switch {
	case i.Format != storeFormat:
		return i, fmt.Errorf("%s has format %d, this program knows %d; use a newer one", identityName,
			i.Format, storeFormat)
	case i.Checksum != i.checksum() || i.Store.IsZero():
		return i, fmt.Errorf("%s is corrupt: wrong checksum", identityName)
	}
	return i, nil
}

// inPlace returns an error unless the store's own directory is where it was opened: one that is hidden
// by another mount, or gone, says nothing of its legs.
func (s *Store) inPlace() error {
	identity, err := readIdentity(s.fsys)
	if err == nil && identity.Store != s.ID() {
		err = fmt.Errorf("store %s is here now: %w", identity.Store, ErrNoStore)
	}
	if err != nil {
		return fmt.Errorf("store %s is not in its place any more: %w", s.ID(), err)
	}
	return nil
}

// sweep removes what an interrupted provision or deletion left. Nothing in tmp is a leg that
// somebody relies on.
func (s *Store) sweep() error {
	if err := s.fsys.RemoveAll(tmpName); err != nil {
		return err
	}
	if err := s.fsys.Mkdir(tmpName); err != nil {
		return err
	}
	return s.fsys.SyncDir(".")
}

// ID returns the store's identity.
func (s *Store) ID() volume.StoreID { return s.identity.Store }

// Node returns the node that the store is bound to.
func (s *Store) Node() volume.NodeID { return s.identity.Node }

// Usage returns the size of the store's file system and what is free, in bytes.
func (s *Store) Usage() (total, free int64, err error) { return s.fsys.Usage() }

// List returns the legs on the disk, in whatever state, sorted. Names that are no leg's are left out.
func (s *Store) List() ([]volume.LegID, error) {
	names, err := s.fsys.ReadDir(legsName)
	if err != nil {
		return nil, fmt.Errorf("store %s: list legs: %w", s.ID(), err)
	}
	var legs []volume.LegID
	for _, name := range names {
		if id, err := volume.ParseUUID(name); err == nil {
			legs = append(legs, volume.LegID{UUID: id})
		}
	}
	return slices.Clip(legs), nil
}

// Delete closes a leg and removes it for good. Only a tombstone allows it. A missing leg is no
// error. Blocks for the leg's requests in flight.
func (s *Store) Delete(id volume.LegID) error {
	if l := s.opened(id); l != nil {
		if err := l.Close(); err != nil {
			return fmt.Errorf("delete leg %s: %w", id, err)
		}
	}
	if err := s.inPlace(); err != nil {
		return fmt.Errorf("delete leg %s: %w", id, err)
	}
	grave := tmpName + "/" + id.String() + ".deleted"
	err := s.fsys.Rename(legDir(id), grave)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil:
		s.witness.drop(id)
		// The name goes first, for good: half of a leg must never come back.
		err = s.fsys.SyncDir(legsName)
	}
	if err == nil {
		err = s.fsys.RemoveAll(grave)
	}
	if err != nil {
		return fmt.Errorf("delete leg %s: %w", id, err)
	}
	return nil
}

// Close closes every leg, waits for their requests in flight, and gives up the lock.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	legs := make([]*Leg, 0, len(s.legs))
	for _, l := range s.legs {
		legs = append(legs, l)
	}
	s.mu.Unlock()
	var errs []error
	for _, l := range legs {
		errs = append(errs, l.Close())
	}
	return errors.Join(append(errs, s.witness.close(), s.lock.Close())...)
}

func (s *Store) opened(id volume.LegID) *Leg {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.legs[id]
}

func (s *Store) forget(id volume.LegID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.legs, id)
}

func legDir(id volume.LegID) string { return legsName + "/" + id.String() }

func legFile(id volume.LegID, name string) string { return legDir(id) + "/" + name }
