package leg

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/holdfast-storage/holdfast/volume"
)

// Spec is what a leg is provisioned as, by an order of the coordinators.
type Spec struct {
	Leg         volume.LegID
	Volume      volume.ID
	VolumeName  string // for rescue
	Incarnation volume.ClusterID
	Former      []volume.ClusterID // incarnations of before: a leg that was made under one is the very same
	DataGen     volume.UUID
	Layout      volume.Layout
	Slot        int
	Durability  volume.Durability
	SizeBytes   int64 // of the volume: how much of it the leg holds, the layout says
}

// Match returns why a leg with this label is not the one of the spec, nil if it is; the error wraps
// ErrMismatch. A name, and the incarnation of a cluster that was restored, do not make another leg:
// Provision alone looks at the incarnation.
func (s Spec) Match(l volume.Label) error {
	var what string
	switch {
	case l.LegID != s.Leg:
		what = fmt.Sprintf("its label says leg %s", l.LegID)
	case l.VolumeID != s.Volume:
		what = fmt.Sprintf("its volume is %s, want %s", l.VolumeID, s.Volume)
	case l.DataGen != s.DataGen:
		what = fmt.Sprintf("its lineage is %s, want %s", l.DataGen, s.DataGen)
	case l.SizeBytes != s.SizeBytes:
		what = fmt.Sprintf("its volume has %d bytes, want %d", l.SizeBytes, s.SizeBytes)
	case l.Layout != s.Layout || l.Slot != s.Slot:
		what = fmt.Sprintf("it is slot %d of %s, want %d of %s", l.Slot, l.Layout, s.Slot, s.Layout)
	case l.Durability != s.Durability:
		what = fmt.Sprintf("its durability is %s, want %s", l.Durability, s.Durability)
	default:
		return nil
	}
	return fmt.Errorf("leg %s: %w: %s", s.Leg, ErrMismatch, what)
}

func (s Spec) label(store volume.StoreID) volume.Label {
	return volume.Label{
		Incarnation: s.Incarnation, VolumeID: s.Volume, VolumeName: s.VolumeName, LegID: s.Leg,
		StoreID: store,
		DataGen: s.DataGen, Layout: s.Layout, Slot: s.Slot, Durability: s.Durability, SizeBytes: s.SizeBytes,
	}
}

// Provision makes a new leg: a label of epoch zero that admits nobody, and data that reads as
// zeroes. When it returns, the leg survives a power cut; before, there is none or a whole one. It is
// idempotent: the very same leg, already there, is success. A leg that is there but lost is a
// *LostError; it is never made again.
func (s *Store) Provision(spec Spec) error {
	if err := cmp.Or(volume.CheckSize(spec.SizeBytes), spec.Layout.Check()); err != nil {
		return fmt.Errorf("provision leg %s: %w", spec.Leg, err)
	}
	have, err := s.peek(spec.Leg)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = s.build(spec)
	case err == nil && have.Incarnation != spec.Incarnation && !slices.Contains(spec.Former, have.Incarnation):
		err = fmt.Errorf("leg %s: %w: it is of incarnation %s, want %s",
			spec.Leg, ErrMismatch, have.Incarnation, spec.Incarnation)
	case err == nil:
		if err = spec.Match(have); err == nil {
			err = s.checkData(have)
		}
	}
	if err == nil {
		// Also when it was there: an earlier try may have ended before this.
		err = s.fsys.SyncDir(legsName)
	}
	if err != nil {
		return fmt.Errorf("provision: %w", err)
	}
	return nil
}

// checkData returns why the files of a leg that is there are not what its label says.
func (s *Store) checkData(label volume.Label) error {
	data, err := s.openChecked(label)
	if err != nil {
		return err
	}
	marks, _, err := s.openRegions(label)
	if err == nil {
		err = marks.file.Close()
	}
	file, journalErr := s.openJournal(label)
	if file != nil {
		journalErr = file.file.Close()
	}
	return errors.Join(err, journalErr, data.Close())
}

// build makes the leg under another name and gives it its own in one step, once it is durable.
func (s *Store) build(spec Spec) error {
	tmp := tmpName + "/" + spec.Leg.String()
	if err := s.fsys.RemoveAll(tmp); err != nil {
		return err
	}
	if err := s.fsys.Mkdir(tmp); err != nil {
		return err
	}
	label := spec.label(s.ID())
	if err := createLabelFile(s.fsys, tmp+"/"+labelName, label); err != nil {
		return err
	}
	if err := createRegions(s.fsys, tmp+"/"+regionsName, NewRegions(spec.Leg, label.LegBytes())); err != nil {
		return err
	}
	if err := createSums(s.fsys, tmp+"/"+sumsName, spec.Leg, label.LegBytes()); err != nil {
		return err
	}
	if bytes := label.Layout.JournalBytes(label.SizeBytes); bytes > 0 {
		if err := createJournal(s.fsys, tmp+"/"+journalName, spec.Leg, bytes); err != nil {
			return err
		}
	}
	if err := s.fsys.CreateData(tmp+"/"+dataName, label.LegBytes()); err != nil {
		return err
	}
	if err := s.fsys.SyncDir(tmp); err != nil {
		return err
	}
	s.log.Info("leg provisioned", "leg", spec.Leg.String(), "volume", spec.VolumeName)
	return s.fsys.Rename(tmp, legDir(spec.Leg))
}

// peek reads the label of a leg, open or not. The error wraps fs.ErrNotExist if there is no
// directory of the leg at all.
func (s *Store) peek(id volume.LegID) (volume.Label, error) {
	if l := s.opened(id); l != nil {
		return l.Label(), nil
	}
	if err := s.inPlace(); err != nil {
		return volume.Label{}, fmt.Errorf("leg %s: %w", id, err)
	}
	if _, err := s.fsys.ReadDir(legDir(id)); err != nil {
		return volume.Label{}, err
	}
	file, label, err := openLabelFile(s.fsys, legFile(id, labelName))
	if err != nil {
		return volume.Label{}, labelError(id, err)
	}
	return label, file.file.Close()
}

// ReadLabel returns a leg's label without opening the leg or changing anything. A leg that is gone is
// a *LostError.
func (s *Store) ReadLabel(id volume.LegID) (volume.Label, error) {
	label, err := s.peek(id)
	if errors.Is(err, fs.ErrNotExist) {
		return volume.Label{}, &LostError{Leg: id, Reason: "its directory is missing"}
	}
	return label, err
}

// labelError tells a label that is gone from one that only cannot be read now.
func labelError(id volume.LegID, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &LostError{Leg: id, Reason: "its label is missing"}
	case errors.Is(err, errNoSlot):
		return &LostError{Leg: id, Reason: "its label is corrupt", Err: err}
	}
	return fmt.Errorf("leg %s: %w", id, err)
}
