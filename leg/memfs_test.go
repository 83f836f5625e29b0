package leg_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
)

// errPower ends every operation after the power cut.
var errPower = errors.New("no power")

// memFS is a file system in memory that can lose power: what was not synced is then there or not, each
// sector and each name for itself, and of a sector that was written more than once any of its contents.
type memFS struct {
	mu      sync.Mutex
	root    *inode
	locked  map[string]bool
	ops     int   // changes and syncs so far
	cutAt   int   // the number of the operation that power fails before; zero is never
	syncAll error // what SyncAll answers

	memory   map[string][]uint64 // outlives a process and no power cut
	noMemory bool                // there is none

	// hook is called before each operation, without the lock; its error is the operation's.
	hook func(op, path string) error // see setHook

	// tear is asked how much of a write is stored before it ends with an error; nil stores all.
	tear func(path string, off int64, n int) (stored int, err error) // see setTear
}

func (f *memFS) setHook(hook func(op, path string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

func (f *memFS) setTear(tear func(path string, off int64, n int) (int, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tear = tear
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
	shared              bool          // data and durableData are one array, or another file system's
	pending             []sectorWrite // not synced, oldest first
}

// own gives the file arrays of its own before they change.
func (n *inode) own() {
	if n.shared {
		n.data, n.durableData, n.shared = cloneBytes(n.data), cloneBytes(n.durableData), false
	}
}

// cloneBytes copies what the file system's lock guards. The race detector would look at each byte of each
// file, for each state of a power cut.
//
//go:norace
func cloneBytes(b []byte) []byte {
	out := make([]byte, len(b))
	copy(out, b)
	return out
}

// sectorBytes is the unit that a disk writes whole.
const sectorBytes = 512

// sectorWrite is what one write left in one sector.
type sectorWrite struct {
	off     int64 // of the first byte, within one sector
	data    []byte
	dropped bool // a sync of it failed: the page counts as clean, and no later sync writes it
}

func newDir() *inode {
	return &inode{names: map[string]*inode{}, durableNames: map[string]*inode{}}
}

func newMemFS() *memFS {
	return &memFS{root: newDir(), locked: map[string]bool{}, memory: map[string][]uint64{}}
}

// powerCut returns what a machine finds that starts again after the power failed now, by chance.
func (f *memFS) powerCut(rng *rand.Rand) *memFS { return f.afterCut(rng.IntN) }

// afterCut returns what a machine finds that starts again after the power failed now. choose picks one
// of n possible outcomes for each sector and name, 0 being the one in which nothing unsynced got through.
func (f *memFS) afterCut(choose func(n int) int) *memFS {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := newMemFS()
	next.root, next.noMemory = f.root.survivor(choose), f.noMemory
	return next
}

// afterKill returns what a process finds that starts after another was killed now: the page cache is as it was.
func (f *memFS) afterKill() *memFS {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := newMemFS()
	next.root, next.noMemory = f.root.twin(map[*inode]*inode{}), f.noMemory
	for path, words := range f.memory {
		next.memory[path] = make([]uint64, len(words))
		for i := range words {
			next.memory[path][i] = atomic.LoadUint64(&words[i])
		}
	}
	return next
}

func (n *inode) twin(known map[*inode]*inode) *inode {
	if known[n] != nil {
		return known[n]
	}
	n.shared = true
	out := &inode{data: n.data, durableData: n.durableData, shared: true, pending: slices.Clone(n.pending)}
	known[n] = out
	if n.names != nil {
		out.names, out.durableNames = map[string]*inode{}, map[string]*inode{}
		for name, entry := range n.names {
			out.names[name] = entry.twin(known)
		}
		for name, entry := range n.durableNames {
			out.durableNames[name] = entry.twin(known)
		}
	}
	return out
}

func (n *inode) survivor(choose func(n int) int) *inode {
	if n.names == nil {
		out := &inode{data: n.survivingData(choose), shared: true}
		out.durableData = out.data
		return out
	}
	out := newDir()
	all := maps.Clone(n.durableNames)
	maps.Copy(all, n.names)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		entry := n.durableNames[name]
		if entry != n.names[name] && choose(2) == 1 {
			entry = n.names[name]
		}
		if entry != nil {
			out.names[name] = entry.survivor(choose)
			out.durableNames[name] = out.names[name]
		}
	}
	return out
}

// survivingData lets each sector that was written since the last sync keep its durable content or get
// that of any of the writes.
func (n *inode) survivingData(choose func(n int) int) []byte {
	if len(n.pending) == 0 {
		n.shared = true
		return n.durableData
	}
	out := cloneBytes(n.durableData)
	bySector := map[int64][]sectorWrite{}
	for _, w := range n.pending {
		list, before := bySector[w.off/sectorBytes], []byte(nil)
		if end := w.off + int64(len(w.data)); len(list) == 0 && end <= int64(len(out)) {
			before = out[w.off:end]
		}
		if !bytes.Equal(before, w.data) { // else it leaves nothing that was not there
			bySector[w.off/sectorBytes] = append(list, w)
		}
	}
	for _, sector := range slices.Sorted(maps.Keys(bySector)) {
		for _, w := range bySector[sector][:choose(len(bySector[sector])+1)] {
			end := w.off + int64(len(w.data))
			out = append(out, make([]byte, max(0, end-int64(len(out))))...)
			copy(out[w.off:], w.data)
		}
	}
	return out
}

// sync makes what is pending durable. One that fails drops it, as a kernel does: the pages stay readable
// and count as clean, and whether the disk has them nobody knows.
func (n *inode) sync(failed bool) {
	n.own()
	var kept []sectorWrite
	for _, w := range n.pending {
		if failed {
			w.dropped = true
		}
		if w.dropped {
			kept = append(kept, w)
			continue
		}
		kept = slices.DeleteFunc(kept, func(d sectorWrite) bool { return d.off/sectorBytes == w.off/sectorBytes })
		end := w.off + int64(len(w.data))
		n.durableData = append(n.durableData, make([]byte, max(0, end-int64(len(n.durableData))))...)
		copy(n.durableData[w.off:], w.data)
	}
	n.pending = kept
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

func (f *memFS) CreateFull(p string, size int64) (leg.File, error) {
	if err := f.enter("create", p); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	n := &inode{}
	n.write(make([]byte, size), 0)
	return &memFile{fs: f, n: n, path: p}, f.insert(p, n)
}

func (f *memFS) OpenData(p string, _ int64) (leg.Data, error) {
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

// Memory is memory whose stores are operations, so that a process may be killed before them.
func (f *memFS) Memory(p string, words int) (leg.Memory, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.noMemory {
		return nil, fmt.Errorf("%s: %w", p, errors.ErrUnsupported)
	}
	if len(f.memory[p]) != words {
		f.memory[p] = make([]uint64, words)
	}
	return memWords{f, p, f.memory[p]}, nil
}

type memWords struct {
	fs    *memFS
	path  string
	words []uint64
}

func (m memWords) Words() int           { return len(m.words) }
func (m memWords) Load(word int) uint64 { return atomic.LoadUint64(&m.words[word]) }

// Store is an operation for the last word of a witness's place alone, which makes what the others say count.
func (m memWords) Store(word int, value uint64) {
	if word%4 == 3 {
		if m.fs.enter("store", m.path) != nil {
			return
		}
		defer m.fs.mu.Unlock()
	}
	atomic.StoreUint64(&m.words[word], value)
}

func (m memWords) Close() error { return nil }

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
	var err error
	if m.fs.tear != nil {
		var stored int
		stored, err = m.fs.tear(m.path, off, len(p))
		p = p[:stored]
	}
	m.n.write(p, off)
	return len(p), err
}

func (n *inode) write(p []byte, off int64) {
	n.own()
	end := off + int64(len(p))
	n.data = append(n.data, make([]byte, max(0, end-int64(len(n.data))))...)
	copy(n.data[off:], p)
	for at := off; at < end; at = at/sectorBytes*sectorBytes + sectorBytes {
		to := min(at/sectorBytes*sectorBytes+sectorBytes, end)
		n.pending = append(n.pending, sectorWrite{off: at, data: slices.Clone(n.data[at:to])})
	}
}

func (m *memFile) Sync() error {
	if err := m.fs.enter("sync", m.path); err != nil {
		if !errors.Is(err, errPower) {
			m.fs.mu.Lock()
			defer m.fs.mu.Unlock()
			m.n.sync(true)
		}
		return err
	}
	defer m.fs.mu.Unlock()
	m.n.sync(false)
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

func (d *memData) Write(ctx context.Context, p []byte, off int64, _ block.Flags) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n, err := d.WriteAt(p, off)
	if err != nil {
		return &block.PartialError{StoredBytes: int64(n), Err: err}
	}
	return nil
}

func (d *memData) Zero(ctx context.Context, r block.Range, f block.Flags) error {
	return d.Write(ctx, make([]byte, r.Len), r.Off, f)
}

func (d *memData) Flush(context.Context) error { return d.Sync() }

func (d *memData) Reserve(block.Range) error { return d.fs.callHook("reserve", d.path) }

// NextData takes every page of zeroes for a hole.
func (d *memData) NextData(off int64) (block.Range, error) {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	hole := func(off int64) bool {
		page := d.n.data[off : min(off|4095, int64(len(d.n.data))-1)+1]
		return page[0] == 0 && bytes.Equal(page[1:], page[:len(page)-1])
	}
	next := func(off int64) int64 { return min(off|4095, int64(len(d.n.data))-1) + 1 }
	for off < int64(len(d.n.data)) && hole(off) {
		off = next(off)
	}
	end := off
	for end < int64(len(d.n.data)) && !hole(end) {
		end = next(end)
	}
	return block.Range{Off: off, Len: end - off}, nil
}

// DropCache forgets sectors that were written back, so that what the medium holds of them is read.
func (d *memData) DropCache(r block.Range) error {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	d.n.own()
	r = r.AlignOut(sectorBytes).Intersect(block.Range{Len: int64(min(len(d.n.data), len(d.n.durableData)))})
	for ; !r.Empty(); r.Off, r.Len = r.Off+sectorBytes, r.Len-sectorBytes {
		dirty := func(w sectorWrite) bool { return w.off/sectorBytes == r.Off/sectorBytes }
		if !slices.ContainsFunc(d.n.pending, dirty) {
			sector := d.n.durableData[r.Off:min(r.Off+sectorBytes, int64(len(d.n.durableData)))]
			copy(d.n.data[r.Off:], sector)
		}
	}
	return nil
}

func (d *memData) AllocatedBytes() (int64, error) { return int64(len(d.n.data)), nil }
