package rescue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

// Evidence is what one directory of a leg tells.
type Evidence struct {
	Leg   volume.LegID   `json:"leg"` // as the directory is named
	Dir   string         `json:"dir"` // of the store
	Store volume.StoreID `json:"store"`
	Node  volume.NodeID  `json:"node"`

	// NoLabel is why there is no label to read, "" if there is one. Without a label nothing below is known.
	NoLabel    string            `json:"no_label,omitempty"`
	Volume     volume.ID         `json:"volume"`
	VolumeName string            `json:"volume_name"`
	Layout     volume.Layout     `json:"layout"`
	Slot       int               `json:"slot"`
	SizeBytes  int64             `json:"size_bytes"`
	Durability volume.Durability `json:"durability"`
	Epoch      volume.Epoch      `json:"epoch"`
	CfgVer     volume.CfgVer     `json:"cfgver"`
	InSync     []volume.LegID    `json:"in_sync"` // the list of that version
	Closed     bool              `json:"closed"`  // detached in order since its last attachment

	Marked        bool     `json:"marked"`         // writes since the last flush may be on some legs only
	MarkedRegions int      `json:"marked_regions"` // of 1 MiB
	Lossy         bool     `json:"lossy"`          // marked, and its page cache is gone
	Records       int      `json:"records"`        // of a leg of parity: in its journal, not yet freed
	Damage        []string `json:"damage"`         // what is broken, but can be read in spite of it
	Problem       string   `json:"problem,omitempty"`
	AlsoAt        []string `json:"also_at"` // other stores with a leg of this id: clones

	label    volume.Label
	readable bool // data and checksums are there
	halved   bool // one of the two slots of its label is corrupt
	leg      *leg.ReadOnlyLeg
}

// Catalogue is what the disks hold. Close it.
type Catalogue struct {
	Legs     []*Evidence // by volume, then slot, then leg
	Problems []string    // of stores that could not be looked at whole
	stores   []*leg.ReadOnlyStore
	places   []fs.FileInfo // the directories of all stores, also of those that could not be opened
}

// scanDepth is how far below a given directory a store may lie: the root of a disk, or of a node's data.
const scanDepth = 4

// Scan opens all stores in the directories, or below them, and reads the labels of their legs. What
// cannot be read is a finding; the error is for a directory that does not exist, or holds no store.
// bootID is the identity of this boot, from leg.ReadBootID: marks of another boot mean a lost cache.
func Scan(ctx context.Context, dirs []string, bootID string) (*Catalogue, error) {
	c := &Catalogue{Legs: []*Evidence{}}
	for _, dir := range dirs {
		stores, err := findStores(dir)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		if len(stores) == 0 {
			return nil, errors.Join(fmt.Errorf("%s holds no store: neither it nor a directory below it (%d deep) has "+
				"store.json or legs", dir, scanDepth), c.Close())
		}
		for _, s := range stores {
			info, err := os.Stat(s)
			if err != nil {
				return nil, errors.Join(err, c.Close())
			}
			if c.isStore(info) {
				continue // the same directory by another way
			}
			c.places = append(c.places, info)
			if err := c.add(ctx, s, bootID); err != nil {
				return nil, errors.Join(err, c.Close())
			}
		}
	}
	c.sort()
	c.noteClones()
	return c, nil
}

// isStore reports whether a directory is one of the stores that were given.
func (c *Catalogue) isStore(dir fs.FileInfo) bool {
	return slices.ContainsFunc(c.places, func(o fs.FileInfo) bool { return os.SameFile(o, dir) })
}

// onStore returns the store in which a file of this name would be, "" if in none.
func (c *Catalogue) onStore(name string) (string, error) {
	dir, err := filepath.Abs(filepath.Dir(name))
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return "", err
	}
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return "", err
		}
		if c.isStore(info) {
			return dir, nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", nil
		}
		dir = above
	}
}

// findStores returns the directories at or below dir that are stores. Symbolic links are not followed.
func findStores(dir string) ([]string, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is no directory: mount the disk, or its image, and give the directory", dir)
	}
	var found []string
	root := filepath.Clean(dir)
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if path == root {
				return err
			}
			return fs.SkipDir // lost+found and the like belong to others
		}
		if !d.IsDir() {
			return nil
		}
		if isStore(path) {
			found = append(found, path)
			return fs.SkipDir
		}
		if below := strings.TrimPrefix(path, root); strings.Count(below, string(filepath.Separator)) >= scanDepth {
			return fs.SkipDir
		}
		return nil
	})
	return found, err
}

// isStore reports whether a directory is a store, or what is left of one.
func isStore(dir string) bool {
	for _, name := range []string{"store.json", "legs"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// add opens one store. A finding is no error; the context's end is.
func (c *Catalogue) add(ctx context.Context, dir, bootID string) error {
	store, err := leg.OpenReadOnly(dir, bootID)
	if err != nil {
		c.Problems = append(c.Problems, err.Error())
		return nil
	}
	c.stores = append(c.stores, store)
	if err := store.Damage(); err != nil {
		c.Problems = append(c.Problems, fmt.Sprintf("the identity of the store in %s is damaged, its legs are "+
			"looked at all the same: %v", dir, err))
	}
	ids, err := store.List()
	if err != nil {
		c.Problems = append(c.Problems, err.Error())
		return nil
	}
	for _, id := range ids {
		e := &Evidence{Leg: id, Dir: dir, Store: store.ID(), Node: store.Node(), InSync: []volume.LegID{},
			Damage: []string{}, AlsoAt: []string{}}
		l, err := store.Leg(ctx, id)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			e.NoLabel = err.Error()
		case l.Label.LegID != id:
			e.NoLabel = errors.Join(l.Problem, l.Close()).Error()
		default:
			e.read(l)
		}
		c.Legs = append(c.Legs, e)
	}
	return nil
}

// read takes over what a leg says of itself.
func (e *Evidence) read(l *leg.ReadOnlyLeg) {
	b := l.Label
	e.leg, e.label, e.readable = l, b, l.Readable()
	e.Volume, e.VolumeName, e.Layout, e.Slot = b.VolumeID, b.VolumeName, b.Layout, b.Slot
	e.SizeBytes, e.Durability = b.SizeBytes, b.Durability
	e.Epoch, e.CfgVer, e.Closed = b.FenceEpoch, b.Config.CfgVer, b.Closed
	e.InSync = append(e.InSync, b.Config.InSync...)
	e.Marked, e.MarkedRegions, e.Lossy = l.Marked, l.MarkedRegions(), l.Lossy
	if records := l.Records(); records != nil {
		e.Records = len(records.Records)
	}
	if e.halved = l.Halved; e.halved {
		e.Damage = append(e.Damage, "one of the two slots of its label is corrupt: it may have been the newer one")
	}
	if l.DamagedSectors > 0 {
		e.Damage = append(e.Damage, fmt.Sprintf("%d sectors of its region file are corrupt: their regions count "+
			"as marked", l.DamagedSectors))
	}
	if l.Problem != nil {
		e.Problem = strings.ReplaceAll(l.Problem.Error(), "\n", "; ")
	}
}

func (c *Catalogue) sort() {
	slices.SortStableFunc(c.Legs, func(a, b *Evidence) int {
		order := strings.Compare(a.VolumeName, b.VolumeName)
		for _, next := range []int{
			strings.Compare(a.Volume.String(), b.Volume.String()), a.Slot - b.Slot,
			strings.Compare(a.Leg.String(), b.Leg.String()), strings.Compare(a.Dir, b.Dir),
		} {
			if order == 0 {
				order = next
			}
		}
		return order
	})
}

// noteClones names, at each leg, the other places that have one of its id.
func (c *Catalogue) noteClones() {
	for _, a := range c.Legs {
		for _, b := range c.Legs {
			if a != b && a.Leg == b.Leg {
				a.AlsoAt = append(a.AlsoAt, b.Dir)
			}
		}
	}
}

// Close closes all legs and stores.
func (c *Catalogue) Close() error {
	var errs []error
	for _, e := range c.Legs {
		if e.leg != nil {
			errs = append(errs, e.leg.Close())
		}
	}
	for _, s := range c.stores {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// ScanDirs is Scan with the boot that bootIDFile names, the kernel's if it is empty.
func ScanDirs(ctx context.Context, dirs []string, bootIDFile string) (*Catalogue, error) {
	bootID, err := leg.ReadBootID(bootIDFile)
	if err != nil {
		return nil, err
	}
	return Scan(ctx, dirs, bootID)
}
