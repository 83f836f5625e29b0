package leg

import (
	"errors"
	"fmt"
	"io"

	"github.com/holdfast-storage/holdfast/volume"
)

// slotBytes is the distance of the two slots of a label file. A write of one never shares a page
// or a physical sector of 4 KiB with the other.
const slotBytes = 4096

// labelFile is a leg's label at rest: two slots, written in turn. It is used by one goroutine at a
// time, except readSlot.
type labelFile struct {
	file    File
	current int    // slot of the label that counts
	seq     uint64 // its SlotSeq
	halved  bool   // the other slot was corrupt when the file was opened: it may have been the newer one
}

// createLabelFile writes a new label into both slots and syncs it.
func createLabelFile(fsys FS, path string, l volume.Label) error {
	file, err := fsys.Create(path)
	if err != nil {
		return err
	}
	f := &labelFile{file: file, current: 1}
	// One slot after the other, so that from the first day either alone can speak for the leg.
	_, err = f.write(l)
	if err == nil {
		_, err = f.write(l)
	}
	return errors.Join(err, file.Close())
}

// slotState is what one slot of a label file holds.
type slotState uint8

const (
	slotGood    slotState = iota + 1
	slotCorrupt           // torn by a power cut, or rotten
	slotNewer             // of a version that this program does not know
)

// errNoSlot means that neither slot holds a label.
var errNoSlot = errors.New("both slots of the label are corrupt")

// openLabelFile reads the label that counts: of the good slots the one with the higher sequence
// number. A slot of an unknown version refuses the leg whatever the other says, since it may be
// the newer one. The error wraps errNoSlot, volume.ErrLabelVersion, or is one of the disk.
func openLabelFile(fsys FS, path string) (*labelFile, volume.Label, error) {
	file, err := fsys.Open(path)
	if err != nil {
		return nil, volume.Label{}, err
	}
	f := &labelFile{file: file}
	label, err := f.read()
	if err != nil {
		return nil, volume.Label{}, errors.Join(err, file.Close())
	}
	return f, label, nil
}

func (f *labelFile) read() (volume.Label, error) {
	var labels [2]volume.Label
	var states [2]slotState
	var reasons [2]error
	for slot := range labels {
		buf := make([]byte, volume.LabelBytes)
		n, err := f.file.ReadAt(buf, int64(slot)*slotBytes)
		if err != nil && !errors.Is(err, io.EOF) {
			return volume.Label{}, fmt.Errorf("read slot %d of the label: %w", slot, err)
		}
		labels[slot], err = volume.ParseLabel(buf[:n])
		states[slot], reasons[slot] = slotGood, err
		switch {
		case errors.Is(err, volume.ErrLabelVersion):
			states[slot] = slotNewer
		case err != nil:
			states[slot] = slotCorrupt
		}
	}
	slot, err := chooseSlot(states, [2]uint64{labels[0].SlotSeq, labels[1].SlotSeq})
	if err != nil {
		return volume.Label{}, fmt.Errorf("%w: %w", err, errors.Join(reasons[:]...))
	}
	f.current, f.seq, f.halved = slot, labels[slot].SlotSeq, states[1-slot] == slotCorrupt
	return labels[slot], nil
}

// chooseSlot decides which slot counts. Sequence numbers matter only of good slots.
func chooseSlot(states [2]slotState, seq [2]uint64) (int, error) {
	switch {
	case states[0] == slotNewer || states[1] == slotNewer:
		return 0, errors.New("a slot of the label is newer than this program")
	case states[0] == slotCorrupt && states[1] == slotCorrupt:
		return 0, errNoSlot
	case states[0] == slotCorrupt:
		return 1, nil
	case states[1] == slotCorrupt || seq[0] > seq[1]:
		return 0, nil
	}
	return 1, nil
}

// write makes l durable in the slot that does not count and returns it with its new SlotSeq. After
// an error the file must not be used again: what the disk holds is unknown.
func (f *labelFile) write(l volume.Label) (volume.Label, error) {
	l.SlotSeq = f.seq + 1
	buf, err := volume.AppendLabel(make([]byte, 0, slotBytes), l)
	if err != nil {
		return l, err
	}
	slot := 1 - f.current
	if _, err := f.file.WriteAt(buf[:slotBytes], int64(slot)*slotBytes); err != nil {
		return l, fmt.Errorf("write slot %d of the label: %w", slot, err)
	}
	if err := f.file.Sync(); err != nil {
		return l, fmt.Errorf("sync slot %d of the label: %w: %w", slot, errSync, err)
	}
	f.current, f.seq = slot, l.SlotSeq
	return l, nil
}

// readSlot reads one slot for a check of health. It may run beside write if that writes the other.
func (f *labelFile) readSlot(slot int) (volume.Label, error) {
	buf := make([]byte, volume.LabelBytes)
	if _, err := f.file.ReadAt(buf, int64(slot)*slotBytes); err != nil {
		return volume.Label{}, fmt.Errorf("read slot %d of the label: %w", slot, err)
	}
	return volume.ParseLabel(buf)
}
