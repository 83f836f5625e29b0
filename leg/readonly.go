package leg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// ReadOnlyStore is a store that is only looked at: on the node's own disk while the node does not run, or
// on a copy of it mounted anywhere. Nothing is opened for writing.
type ReadOnlyStore struct {
	store  *Store
	damage error
	left   map[volume.LegID][]place // what the last process had under way, if that was in this boot
}

// OpenReadOnly opens the store of a directory for reading. It keeps nodes from using it meanwhile. The
// error wraps ErrNoStore for a directory without legs, ErrInUse if a process has the store; that error
// names store and node. bootID is the identity of this boot, from ReadBootID.
func OpenReadOnly(dir, bootID string) (*ReadOnlyStore, error) {
	fsys := readOnlyFS{osFS{dir}}
	if _, err := fsys.ReadDir(legsName); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open store in %s: %w: it has no directory %s", dir, ErrNoStore, legsName)
	} else if err != nil {
		return nil, fmt.Errorf("open store in %s: %w", dir, err)
	}
	identity, damage := readIdentity(fsys)
	mount, err := fsys.Mount()
	if err != nil {
		return nil, fmt.Errorf("open store in %s: %w", dir, err)
	}
	lock, err := fsys.Lock(lockName)
	if errors.Is(err, ErrInUse) {
		return nil, fmt.Errorf("store %s of node %s in %s: %w; stop the node first", identity.Store, identity.Node,
			dir, ErrInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("open store in %s: %w", dir, err)
	}
	boot := bootIdentity(bootID, mount)
	return &ReadOnlyStore{damage: damage, left: readWitness(fsys, boot), store: &Store{
		fsys: fsys, identity: identity, boot: boot, lock: lock,
		log: slog.New(slog.DiscardHandler), legs: map[volume.LegID]*Leg{},
	}}, nil
}

// ID returns the store's identity, and Node the node that it is bound to. Both are zero if the identity
// is damaged.
func (s *ReadOnlyStore) ID() volume.StoreID { return s.store.ID() }

// Node returns the node that the store is bound to.
func (s *ReadOnlyStore) Node() volume.NodeID { return s.store.Node() }

// Damage returns what is wrong with the store's identity, nil if nothing is. The legs can be read all
// the same.
func (s *ReadOnlyStore) Damage() error { return s.damage }

// List returns the legs on the disk, in whatever state, sorted.
func (s *ReadOnlyStore) List() ([]volume.LegID, error) { return s.store.List() }

// Close lets nodes use the store again. Its legs are closed before.
func (s *ReadOnlyStore) Close() error { return s.store.lock.Close() }

// ReadOnlyLeg is a leg that is only looked at. It is safe for use by many goroutines.
type ReadOnlyLeg struct {
	// Label is the one that counts, as it stands on the disk.
	Label volume.Label
	// Halved: the other slot of the label is corrupt, and may have been the newer one.
	Halved bool
	// Marked and Lossy are what a node that started now would say of the leg (protocol-flush A): what
	// cannot be read counts as marked, and marks of another boot are writes whose cache is gone.
	Marked, Lossy bool
	// DamagedSectors counts the sectors of the region file that cannot be believed.
	DamagedSectors int
	// Problem is why no node would use the leg: it failed for good, its label is of another place, its
	// files are lost. Nil if there is none. Blocks may work in spite of it.
	Problem error

	regions *Regions
	data    *checkedData // nil if data or checksums cannot be read
	pending *pending     // what its journal lays over the data; nil for a leg of a mirror
	journal error        // why that cannot be read, nil if it can
	left    []block.Range
	settled bool // writes under way were those of a process that died in this boot
}

// Leg opens a leg for reading. A *LostError means that it has no label; any other error that the label
// cannot be read now, or is newer than this program (volume.ErrLabelVersion).
func (s *ReadOnlyStore) Leg(ctx context.Context, id volume.LegID) (*ReadOnlyLeg, error) {
	labels, label, err := openLabelFile(s.store.fsys, legFile(id, labelName))
	if err != nil {
		return nil, labelError(id, err)
	}
	l := &ReadOnlyLeg{Label: label, Halved: labels.halved}
	err = labels.file.Close()
	switch {
	case label.LegID != id:
		err = errors.Join(err, fmt.Errorf("leg %s: %w: its label says leg %s", id, ErrMismatch, label.LegID))
	case s.damage == nil && label.StoreID != s.ID():
		err = errors.Join(err, fmt.Errorf("leg %s: %w: its label says store %s, this is store %s: it was copied here",
			id, ErrMismatch, label.StoreID, s.ID()))
	}
	failure, failureErr := s.store.failure(id)
	if failure != nil {
		failure = fmt.Errorf("leg %s failed for good: %w", id, failure)
	}
	err = errors.Join(err, failure, failureErr)
	if label.LegID == id {
		err = errors.Join(err, s.openFiles(l))
	}
	l.Problem = err
	return l, s.judge(ctx, l)
}

// openFiles opens the other files of a leg, as many as there are.
func (s *ReadOnlyStore) openFiles(l *ReadOnlyLeg) error {
	id := l.Label.LegID
	marks, regions, err := s.store.openRegions(l.Label)
	if err == nil {
		l.regions = regions
		err = marks.file.Close()
	}
	data, dataErr := s.store.openData(id, l.Label)
	if dataErr != nil {
		return errors.Join(err, dataErr)
	}
	sums, sumsErr := s.openSums(l.Label)
	if sumsErr != nil {
		return errors.Join(err, sumsErr, data.Close())
	}
	l.data = newCheckedData(data, sums, id)
	for _, p := range s.left[id] {
		if p.crashGen == uint32(l.Label.CrashGen) {
			l.left = append(l.left, p.blocks)
		}
	}
	l.pending, l.journal = s.openPending(l.Label)
	return errors.Join(err, l.journal)
}

// openSums opens the checksums of a leg. A header that is corrupt does not matter: each block is compared
// with its checksum whenever it is read.
func (s *ReadOnlyStore) openSums(label volume.Label) (Data, error) {
	id := label.LegID
	sums, err := s.store.fsys.OpenData(legFile(id, sumsName), sumBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &LostError{Leg: id, Reason: "its checksums are missing"}
	}
	if err != nil {
		return nil, fmt.Errorf("leg %s: checksums: %w", id, err)
	}
	sector := make([]byte, sumsSectorBytes)
	var have sumsHeader
	err = sums.Read(context.Background(), sector, 0)
	if err == nil {
		have, err = parseSumsHeader(sector)
	}
	size, want := sums.Limits().SizeBytes, sumsFileBytes(label.LegBytes())
	switch {
	case size != want:
		err = &LostError{Leg: id, Reason: fmt.Sprintf("its checksums have %d bytes, want %d", size, want)}
	case errors.Is(err, ErrChecksumsVersion):
		err = fmt.Errorf("leg %s: %w", id, err)
	case err == nil && have.Leg != id:
		err = fmt.Errorf("leg %s: %w: its checksums are of leg %s", id, ErrMismatch, have.Leg)
	default:
		return sums, nil
	}
	return nil, errors.Join(err, sums.Close())
}

// judge finds out what a node that started now would say of the leg's marks. It differs in one thing: it
// does not ask for errors of write-back, which the kernel tells once, and which the node must hear.
func (s *ReadOnlyStore) judge(ctx context.Context, l *ReadOnlyLeg) error {
	regions := l.regions
	if regions == nil { // gone: everything counts as marked
		regions = NewRegions(l.Label.LegID, l.Label.LegBytes())
		for i := range regions.Count() {
			regions.marks.set(i)
		}
		l.regions, l.Marked, l.Lossy = regions, true, true
		return nil
	}
	l.DamagedSectors = regions.Damaged()
	found := Found{Label: l.Label, Regions: regions, Halved: l.Halved}
	if found.Settles(s.store.boot) && l.Readable() {
		unsettled, err := l.unsettled(ctx)
		if err != nil {
			return errors.Join(fmt.Errorf("leg %s: %w", l.Label.LegID, err), l.Close())
		}
		found.Suspect, l.settled = unsettled, !unsettled
	}
	label, _ := StartLeg(found, s.store.boot)
	l.Marked, l.Lossy = label.Marked, lossy(label, s.store.boot)
	if l.pending != nil {
		l.Problem = errors.Join(l.Problem, unmarkedRecord(l.pending.core, regions))
	}
	return nil
}

// unsettled reports whether a block of a marked region is neither what was written last at home nor under way.
func (l *ReadOnlyLeg) unsettled(ctx context.Context) (bool, error) {
	found := false
	for i, ok := l.regions.marks.next(0); ok && !found; i, ok = l.regions.marks.next(i + 1) {
		err := l.home(ctx, regionBounds(i, l.Label.LegBytes()), func(b ReadOnlyBlock) error {
			found = found || b.State == BlockMismatch || b.State == BlockUnreadable
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	return found, nil
}

// Readable reports whether data and checksums are there, and the journal of a leg of parity.
func (l *ReadOnlyLeg) Readable() bool { return l.readable() == nil }

func (l *ReadOnlyLeg) readable() error {
	if l.data == nil || l.journal != nil {
		return fmt.Errorf("leg %s cannot be read: %w", l.Label.LegID, l.Problem)
	}
	return nil
}

// RegionMarked reports whether the region that the byte at off is in is marked.
func (l *ReadOnlyLeg) RegionMarked(off int64) bool {
	return l.Marked && l.regions.Marked(uint32(off/volume.RegionBytes))
}

// MarkedRegions counts the marked regions.
func (l *ReadOnlyLeg) MarkedRegions() int {
	if !l.Marked {
		return 0
	}
	return l.regions.Marks()
}

// BlockState says how far the content of a block can be believed.
type BlockState uint8

// The states of a block.
const (
	BlockGood       BlockState = iota // what was written last
	BlockUnderWay                     // a write was under way: old, new, or a mix of sectors
	BlockMismatch                     // not what was written last
	BlockUnreadable                   // the disk cannot read it, or its checksum
)

// ReadOnlyBlock is one block of a leg.
type ReadOnlyBlock struct {
	Number  int64
	State   BlockState
	Content []byte // valid during the visit; nil if the block is unreadable
}

// Blocks visits, in order, the blocks of r, which is made of whole blocks. Those that it leaves out are
// good and all zero. A write that was under way when a process died in this boot was answered to nobody
// and left whole pages, so such a block is good. On a leg of parity blocks hold what a start of its node would
// serve: home with the journal laid over it, what is staged too unless TakeBack took it out. A visit's error ends it
// and is returned. It blocks on the disk.
func (l *ReadOnlyLeg) Blocks(ctx context.Context, r block.Range, visit func(ReadOnlyBlock) error) error {
	if err := l.readable(); err != nil {
		return err
	}
	if l.pending == nil {
		return l.home(ctx, r, visit)
	}
	o := overlaid{p: l.pending, left: l.pending.overlay(r), visit: visit}
	if len(o.left) == 0 {
		return l.home(ctx, r, visit)
	}
	if err := l.home(ctx, r, o.home); err != nil {
		return err
	}
	return o.upTo(r.End() / volume.BlockBytes)
}

// home is Blocks without the journal.
func (l *ReadOnlyLeg) home(ctx context.Context, r block.Range, visit func(ReadOnlyBlock) error) error {
	return l.data.scan(ctx, r, func(n int64, stored uint32, content []byte) error {
		return visit(ReadOnlyBlock{Number: n, State: l.state(n, stored, content), Content: content})
	})
}

// state says what a block with this checksum and content is.
func (l *ReadOnlyLeg) state(n int64, stored uint32, content []byte) BlockState {
	underWay := stored == sumUnderWay || named(l.left, n)
	switch {
	case content == nil:
		return BlockUnreadable
	case stored == blockSum(n, content), underWay && l.settled:
		return BlockGood
	case underWay:
		return BlockUnderWay
	}
	return BlockMismatch
}

// Sums fills sums, four bytes each, with the checksums of the blocks of r that were written last, without reading the
// data; 1 is one that was under way. Equal ones of good blocks on two legs of a mirror mean equal content; legs of
// parity, whose journal may hold other blocks, have none to show. The error wraps block.ErrMedium if the disk cannot
// read them.
func (l *ReadOnlyLeg) Sums(ctx context.Context, r block.Range, sums []byte) error {
	if err := l.readable(); err != nil {
		return err
	}
	if l.pending != nil {
		return fmt.Errorf("leg %s: %w: checksums of a leg with a journal", l.Label.LegID, errors.ErrUnsupported)
	}
	if int64(len(sums)) != sumsRange(r).Len {
		return fmt.Errorf("checksums of %s: %w", r, io.ErrShortBuffer)
	}
	if err := l.data.sums.Read(ctx, sums, sumsRange(r).Off); err != nil {
		return err
	}
	for _, left := range l.left {
		under := left.Intersect(r)
		for off := under.Off; off < under.End(); off += volume.BlockBytes {
			putSum(sums, (off-r.Off)/volume.BlockBytes, sumUnderWay)
		}
	}
	return nil
}

// Close closes the leg's files.
func (l *ReadOnlyLeg) Close() error {
	if l.data == nil {
		return nil
	}
	err := l.data.Close()
	if l.pending != nil {
		err = errors.Join(err, l.pending.file.file.Close())
	}
	return err
}
