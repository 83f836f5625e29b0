package demo

import (
	"context"
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
)

// Stretch is a range of records that guests of one epoch wrote: From and all up to Next, without Next.
type Stretch struct {
	Epoch      uint64
	From, Next uint64
}

// Written returns what guests have written, from record zero up to the first that is not there, in the order in which
// it lies on the device. It reads the device, and returns its errors.
func Written(ctx context.Context, d block.Device) ([]Stretch, error) {
	const chunk = 256 * RecordBytes
	var all []Stretch
	buf := make([]byte, chunk)
	size := d.Limits().SizeBytes
	for off := int64(0); off < size; off += chunk {
		part := buf[:min(chunk, size-off)]
		if err := d.Read(ctx, part, off); err != nil {
			return nil, err
		}
		for i := 0; i+RecordBytes <= len(part); i += RecordBytes {
			seq := uint64(off+int64(i)) / RecordBytes
			epoch, err := checkRecord(part[i:i+RecordBytes], seq)
			if err != nil {
				return all, nil // the end of what is there
			}
			if len(all) == 0 || all[len(all)-1].Epoch != epoch {
				all = append(all, Stretch{epoch, seq, seq})
			}
			all[len(all)-1].Next = seq + 1
		}
	}
	return all, nil
}

// FirstMissing returns the number of the first record that is not there: every record below it is.
func FirstMissing(ctx context.Context, d block.Device) (uint64, error) {
	all, err := Written(ctx, d)
	if err != nil || len(all) == 0 {
		return 0, err
	}
	return all[len(all)-1].Next, nil
}

// OneWriter returns an error if two guests have written at once: a guest goes on behind all that it finds, so the
// records of an older epoch lie below those of every newer one, and each epoch's begin where its guest said that it
// goes on. all is what [Written] found, lines are what the guests reported.
//
// Invariant: holds for every order of failovers, as long as never two guests write.
func OneWriter(all []Stretch, lines []LogLine) error {
	began := map[uint64]uint64{}
	for _, l := range lines {
		if _, again := began[l.Epoch]; l.Event == "start" && !again {
			began[l.Epoch] = l.Next
		}
	}
	for i, s := range all {
		if i > 0 && s.Epoch <= all[i-1].Epoch {
			return fmt.Errorf("record %d is of epoch %d, and record %d before it is of epoch %d: "+
				"two guests wrote at once", s.From, s.Epoch, s.From-1, all[i-1].Epoch)
		}
		if from, ok := began[s.Epoch]; !ok || from != s.From {
			return fmt.Errorf("the records of epoch %d begin at %d, and its guest reported %d (it reported: %v): "+
				"another guest wrote there", s.Epoch, s.From, from, ok)
		}
	}
	return nil
}
