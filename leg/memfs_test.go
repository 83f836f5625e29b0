package leg_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"sync"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
)

// errPower ends every operation after the power cut.
var errPower = errors.New("no power")

// memFS is a file system in memory that can lose power: what was not synced is then there or not, each
// sector and each name for itself.
type memFS struct {
	mu      sync.Mutex
	root    *inode
	locked  map[string]bool
	ops     int   // changes and syncs so far
	cutAt   int   // the number of the operation that power fails before; zero is never
	syncAll error // what SyncAll answers

	// hook is called before each operation, without the lock; its error is the operation's.
	hook func(op, path string) error // see setHook
}

func (f *memFS) setHook(hook func(op, path string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

func (f *memFS) callHook(op, path string) error {
	f.mu.Lock()
	hook := f.hook
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(op, path)
}

// inode is a file (names is nil) or a directory.
type inode struct {
	names, durableNames map[string]*inode
	data, durableData   []byte
	unsynced            []block.Range
}

func newDir() *inode {
	return &inode{names: map[string]*inode{}, durableNames: map[string]*inode{}}
}

func newMemFS() *memFS { return &memFS{root: newDir(), locked: map[string]bool{}} }

// powerCut returns what a machine finds that starts again after the power failed now.
func (f *memFS) powerCut(rng *rand.Rand) *memFS {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := newMemFS()
	next.root = f.root.survivor(rng)
	return next
}

func (n *inode) survivor(rng *rand.Rand) *inode {
	if n.names == nil {
		out := &inode{data: slices.Clone(n.durableData)}
		for _, w := range n.unsynced {
			for off := w.Off; off < w.End(); off = off&^511 + 512 {
				end := min(off&^511+512, w.End(), int64(len(n.data)))
				if rng.IntN(2) == 0 && off < end {
					out.data = append(out.data, make([]byte, max(0, end-int64(len(out.data))))...)
					copy(out.data[off:end], n.data[off:end])
				}
			}
		}
		out.durableData = slices.Clone(out.data)
		return out
	}
	out := newDir()
	all := map[string]bool{}
	for name := range n.names {
		all[name] = true
	}
	for name := range n.durableNames {
		all[name] = true
	}
	for name := range all {
		entry := n.durableNames[name]
		if entry != n.names[name] && rng.IntN(2) == 0 {
			entry = n.names[name]
		}
		if entry != nil {
			out.names[name] = entry.survivor(rng)
			out.durableNames[name] = out.names[name]
		}
	}
	return out
}

// enter counts one operation and says whether it may be done; on nil the lock is held.
func (f *memFS) enter(op, p string) error {
	if err := f.callHook(op, p); err != nil {
		return err
	}
	f.mu.Lock()
	f.ops++
	if f.cutAt != 0 && f.ops >= f.cutAt {
		f.mu.Unlock()
		return errPower
	}
	return nil
}

func (f *memFS) find(p string) *inode {
	n := f.root
	for _, name := range splitPath(p) {
		if n == nil || n.names == nil {
			return nil
		}
		n = n.names[name]
	}
	return n
}

func splitPath(p string) []string {
	if p == "." {
		return nil
	}
	dir, name := path.Split(p)
	if dir == "" {
		return []string{name}
	}
	return append(splitPath(path.Clean(dir)), name)
}

func (f *memFS) insert(p string, n *inode) error {
	dir := f.find(path.Dir(p))
	switch {
	case dir == nil:
		return fmt.Errorf("%s: %w", p, fs.ErrNotExist)
	case dir.names[path.Base(p)] != nil:
		return fmt.Errorf("%s: %w", p, fs.ErrExist)
	}
	dir.names[path.Base(p)] = n
	return nil
}

func (f *memFS) open(p string) (*memFile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.find(p)
	if n == nil {
		return nil, fmt.Errorf("%s: %w", p, fs.ErrNotExist)
	}
	return &memFile{fs: f, n: n, path: p}, nil
}

func (f *memFS) Open(p string) (leg.File, error) { return f.open(p) }

func (f *memFS) Create(p string) (leg.File, error) {
	if err := f.enter("create", p); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	n := &inode{}
	return &memFile{fs: f, n: n, path: p}, f.insert(p, n)
}

func (f *memFS) CreateData(p string, size int64) error {
	if err := f.enter("create", p); err != nil {
		return err
	}
	defer f.mu.Unlock()
	return f.insert(p, &inode{data: make([]byte, size), durableData: make([]byte, size)})
}

func (f *memFS) OpenData(p string) (leg.Data, error) {
	file, err := f.open(p)
	if err != nil {
		return nil, err
	}
	return &memData{file}, nil
}

func (f *memFS) Mkdir(p string) error {
	if err := f.enter("mkdir", p); err != nil {
		return err
	}
	defer f.mu.Unlock()
	return f.insert(p, newDir())
}

func (f *memFS) Rename(from, to string) error {
	if err := f.enter("rename", to); err != nil {
		return err
	}
	defer f.mu.Unlock()
	n := f.find(from)
	if n == nil {
		return fmt.Errorf("%s: %w", from, fs.ErrNotExist)
	}
	if err := f.insert(to, n); err != nil {
		return err
	}
	delete(f.find(path.Dir(from)).names, path.Base(from))
	return nil
}

func (f *memFS) RemoveAll(p string) error {
	if err := f.enter("remove", p); err != nil {
		return err
	}
	defer f.mu.Unlock()
	if dir := f.find(path.Dir(p)); dir != nil {
		delete(dir.names, path.Base(p))
	}
	return nil
}

func (f *memFS) ReadDir(p string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.find(p)
	if n == nil {
		return nil, fmt.Errorf("%s: %w", p, fs.ErrNotExist)
	}
	var names []string
	for name := range n.names {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (f *memFS) SyncDir(p string) error {
	if err := f.enter("syncdir", p); err != nil {
		return err
	}
	defer f.mu.Unlock()
	n := f.find(p)
	n.durableNames = map[string]*inode{}
	for name, entry := range n.names {
		n.durableNames[name] = entry
	}
	return nil
}

func (f *memFS) SyncAll() error                      { return f.syncAll }
func (f *memFS) Mount() (leg.Mount, error)           { return leg.Mount{Device: 1, ID: 2}, nil }
func (f *memFS) Usage() (total, free int64, _ error) { return 1 << 30, 1 << 29, nil }

func (f *memFS) Lock(p string) (io.Closer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locked[p] {
		return nil, leg.ErrInUse
	}
	f.locked[p] = true
	return unlocker{f, p}, nil
}

type unlocker struct {
	f *memFS
	p string
}

func (u unlocker) Close() error {
	u.f.mu.Lock()
	defer u.f.mu.Unlock()
	delete(u.f.locked, u.p)
	return nil
}

// memFile is an open file.
type memFile struct {
	fs   *memFS
	n    *inode
	path string
}

func (m *memFile) ReadAt(p []byte, off int64) (int, error) {
	m.fs.mu.Lock()
	defer m.fs.mu.Unlock()
	if off >= int64(len(m.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, m.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memFile) WriteAt(p []byte, off int64) (int, error) {
	if err := m.fs.enter("write", m.path); err != nil {
		return 0, err
	}
	defer m.fs.mu.Unlock()
	end := off + int64(len(p))
	m.n.data = append(m.n.data, make([]byte, max(0, end-int64(len(m.n.data))))...)
	copy(m.n.data[off:], p)
	m.n.unsynced = append(m.n.unsynced, block.Range{Off: off, Len: int64(len(p))})
	return len(p), nil
}

func (m *memFile) Sync() error {
	if err := m.fs.enter("sync", m.path); err != nil {
		return err
	}
	defer m.fs.mu.Unlock()
	m.n.durableData, m.n.unsynced = slices.Clone(m.n.data), nil
	return nil
}

func (m *memFile) Close() error { return nil }

// memData is the data of a leg.
type memData struct{ *memFile }

func (d *memData) Limits() block.Limits {
	return block.Limits{SizeBytes: int64(len(d.n.data)), BlockBytes: 512, CanUnmap: true, Volatile: true}
}

func (d *memData) Read(_ context.Context, p []byte, off int64) error {
	if err := d.fs.callHook("read", d.path); err != nil {
		return err
	}
	_, err := d.ReadAt(p, off)
	return err
}

func (d *memData) Write(_ context.Context, p []byte, off int64, _ block.Flags) error {
	_, err := d.WriteAt(p, off)
	return err
}

func (d *memData) Zero(_ context.Context, r block.Range, _ block.Flags) error {
	_, err := d.WriteAt(make([]byte, r.Len), r.Off)
	return err
}

func (d *memData) Flush(context.Context) error { return d.Sync() }

func (d *memData) NextData(off int64) (block.Range, error) {
	return block.Range{Off: off, Len: int64(len(d.n.data)) - off}, nil
}

func (d *memData) Probe(p []byte, off int64) error { return d.Read(context.Background(), p, off) }

func (d *memData) AllocatedBytes() (int64, error) { return int64(len(d.n.data)), nil }
