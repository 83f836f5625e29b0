package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/export/nbd"
	"github.com/holdfast-storage/holdfast/volume"
)

// verify stops the guest and looks at everything it was promised.
func (s *show) verify(ctx context.Context) error {
	if _, err := s.client.StopDomain(ctx, domainName, api.Wait{}); err != nil {
		return err
	}
	flushed := s.watcher.highest()
	s.say("the guest is stopped and the volume detached; %d records were flushed in all", flushed)
	v, err := s.awaitVolume(ctx, "the detach", func(v api.Volume) bool { return v.Attachment == nil })
	if err != nil {
		return err
	}
	if err := s.compareLegs(v); err != nil {
		return err
	}
	if err := s.readRecords(ctx, flushed); err != nil {
		return err
	}
	return s.awaitHealthy(ctx)
}

// compareLegs compares the data of the volume's legs at rest, byte for byte.
func (s *show) compareLegs(v api.Volume) error {
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	for _, l := range v.Legs {
		if l.State != volume.LegInSync {
			return fmt.Errorf("the leg on %s is %s, not in sync", l.Node, l.State)
		}
		f, err := os.Open(s.cluster.LegData(l.Node, l.ID))
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	if len(files) != 2 {
		return fmt.Errorf("the volume has %d legs, not 2", len(files))
	}
	const chunk = 1 << 20
	a, b := make([]byte, chunk), make([]byte, chunk)
	for off := int64(0); off < volumeSize; off += chunk {
		if _, err := files[0].ReadAt(a, off); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if _, err := files[1].ReadAt(b, off); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if !bytes.Equal(a, b) {
			return fmt.Errorf("the legs on %s and %s differ in [%d,+%d)", v.Legs[0].Node, v.Legs[1].Node, off, chunk)
		}
	}
	s.say("the legs on %s and %s are equal, all %d bytes", v.Legs[0].Node, v.Legs[1].Node, int64(volumeSize))
	return nil
}

// readRecords attaches the volume once more and reads every record that was flushed.
func (s *show) readRecords(ctx context.Context, flushed uint64) (err error) {
	a, err := s.client.AttachVolume(ctx, volumeName, api.AttachVolume{Host: secondHost})
	if err != nil {
		return err
	}
	d, err := openExport(ctx, a.Exports[0].URL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close(), s.client.DetachVolume(ctx, volumeName, api.Wait{})) }()
	all, err := Written(ctx, d)
	if err != nil {
		return err
	}
	var found uint64
	if len(all) > 0 {
		found = all[len(all)-1].Next
	}
	if found < flushed {
		return fmt.Errorf("record %d was flushed and is not there", found)
	}
	lines, err := s.watcher.all()
	if err == nil {
		err = OneWriter(all, lines)
	}
	if err != nil {
		return err
	}
	s.say("all %d flushed records are there, with their checksums; %d guests in turn wrote them, never two at once",
		flushed, len(all))
	return nil
}

func (s *show) awaitHealthy(ctx context.Context) error {
	var last api.Health
	err := s.until(ctx, "a healthy cluster", func() (bool, error) {
		var err error
		last, err = s.client.Health(ctx)
		return err == nil && last.Status == api.Healthy, err
	})
	if err != nil {
		for _, f := range last.Findings {
			s.say("%s %s: %s (%s)", f.Severity, f.Object, f.Message, f.Next)
		}
		return err
	}
	s.say("health: %s", last.Status)
	return nil
}

// openExport connects to an export by its URL.
func openExport(ctx context.Context, url string) (block.Device, error) {
	address, err := nbd.ParseURL(url)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return nbd.Dial(ctx, address, nbd.ClientOptions{})
}
