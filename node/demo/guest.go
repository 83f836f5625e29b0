package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

// Guest is what runs as the demo's domU: it appends numbered, checksummed records to a volume, one a
// block, and flushes after each batch. What a completed flush covers it reports to its log; that is
// the promise that the demo checks in the end.
type Guest struct {
	Device block.Device
	Epoch  uint64    // stands in each record, to tell who wrote it
	Log    io.Writer // gets one JSON object a line, each in a single Write
	Batch  int       // records between two flushes
	Pause  time.Duration
}

// LogLine is one line of a guest's log.
type LogLine struct {
	At    time.Time `json:"at"`
	Event string    `json:"event"` // "start": Next is where it goes on; "flushed": all below Next is safe
	Epoch uint64    `json:"epoch"`
	Next  uint64    `json:"next"`
}

// Run goes on behind the last record that is there and writes until ctx ends or the device is full.
// A device error ends it.
func (g *Guest) Run(ctx context.Context) error {
	next, err := FirstMissing(ctx, g.Device)
	if err != nil {
		return fmt.Errorf("look for the last record: %w", err)
	}
	if err := g.report("start", next); err != nil {
		return err
	}
	buf := make([]byte, RecordBytes)
	capacity := uint64(g.Device.Limits().SizeBytes / RecordBytes)
	pause := time.NewTicker(max(g.Pause, time.Microsecond))
	defer pause.Stop()
	for next < capacity {
		for range min(uint64(g.Batch), capacity-next) {
			putRecord(buf, next, g.Epoch)
			if err := g.Device.Write(ctx, buf, int64(next)*RecordBytes, 0); err != nil {
				return fmt.Errorf("write record %d: %w", next, err)
			}
			next++
		}
		if err := g.Device.Flush(ctx); err != nil {
			return fmt.Errorf("flush up to record %d: %w", next, err)
		}
		if err := g.report("flushed", next); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
	}
	<-ctx.Done()
	return nil
}

func (g *Guest) report(event string, next uint64) error {
	line, err := json.Marshal(LogLine{At: time.Now(), Event: event, Epoch: g.Epoch, Next: next})
	if err != nil {
		return err
	}
	if _, err := g.Log.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write the guest's log: %w", err)
	}
	return nil
}
