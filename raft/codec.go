package raft

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// ErrCorrupt means that bytes which should be a command or a snapshot are damaged.
var ErrCorrupt = errors.New("damaged")

// castagnoli is a constant table; crc32.MakeTable returns the same one for each call.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// encodeCommand returns the bytes of a log entry: CRC-32C of the rest (big endian), then JSON.
func encodeCommand(c Command) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode command %s: %w", c.Name(), err)
	}
	return checksummed(body), nil
}

// checksummed puts the checksum of a body in front of it.
func checksummed(body []byte) []byte {
	out := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), crc32.Checksum(body, castagnoli()))
	return append(out, body...)
}

// decodeCommand reads the bytes of a log entry. A field that this version does not know is refused:
// a replica that ignored it would differ from the others.
func decodeCommand(data []byte) (Command, error) {
	var c Command
	if len(data) < 4 || binary.BigEndian.Uint32(data) != crc32.Checksum(data[4:], castagnoli()) {
		return c, fmt.Errorf("command: %w: its checksum does not fit", ErrCorrupt)
	}
	if err := decodeStrict(data[4:], &c); err != nil {
		return Command{}, fmt.Errorf("command of an unknown form (%w?): %w", ErrNewer, err)
	}
	if c.RaiseVersion != nil {
		if err := checkVersion("log", c.RaiseVersion.To); err != nil {
			return Command{}, err
		}
	}
	return c, c.check()
}

// decodeStrict reads exactly one JSON value and refuses unknown fields.
func decodeStrict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the value")
	}
	return nil
}

// A snapshot is one line of text, "holdfast-raft <cluster version> <revision> <length> <crc32c>\n" with the
// numbers in decimal, then the body: the State as JSON. The checksum, in hexadecimal, is of the
// revision in 8 bytes, big endian, and the body.
const snapshotHeader = "holdfast-raft %d %d %d %08x\n"

// snapshotMax bounds the body of a snapshot that is read, in bytes.
const snapshotMax = 1 << 30

// WriteSnapshot writes a state and its revision.
func WriteSnapshot(w io.Writer, s *State, revision uint64) error {
	body, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	return writeSnapshotBody(w, s.Version, body, revision)
}

func writeSnapshotBody(w io.Writer, version int, body []byte, revision uint64) error {
	sum := snapshotSum(body, revision)
	if _, err := fmt.Fprintf(w, snapshotHeader, version, revision, len(body), sum); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}

func snapshotSum(body []byte, revision uint64) uint32 {
	sum := crc32.Checksum(binary.BigEndian.AppendUint64(nil, revision), castagnoli())
	return crc32.Update(sum, castagnoli(), body)
}

// ReadSnapshot reads what WriteSnapshot wrote. A truncated or altered snapshot is ErrCorrupt; one of
// a version above VersionLatest is ErrNewer.
func ReadSnapshot(r io.Reader) (*State, uint64, error) {
	in := bufio.NewReader(io.LimitReader(r, snapshotMax+256))
	line, err := in.ReadString('\n')
	if err != nil {
		return nil, 0, fmt.Errorf("snapshot: %w: it has no complete first line", ErrCorrupt)
	}
	var version, length int
	var revision uint64
	var sum uint32
	n, err := fmt.Sscanf(line, snapshotHeader, &version, &revision, &length, &sum)
	if n > 0 {
		if err := checkVersion("snapshot", version); err != nil {
			return nil, 0, err
		}
	}
	if err != nil || length < 0 || length > snapshotMax {
		return nil, 0, fmt.Errorf("snapshot: %w: its first line is %q", ErrCorrupt, line)
	}
	body, err := io.ReadAll(in)
	if err != nil {
		return nil, 0, fmt.Errorf("read a snapshot: %w", err)
	}
	if len(body) != length {
		return nil, 0, fmt.Errorf("snapshot: %w: it has %d of %d bytes", ErrCorrupt, len(body), length)
	}
	if snapshotSum(body, revision) != sum {
		return nil, 0, fmt.Errorf("snapshot: %w: its checksum does not fit", ErrCorrupt)
	}
	s := NewState()
	if err := decodeStrict(body, s); err != nil {
		return nil, 0, fmt.Errorf("snapshot of an unknown form (%w?): %w", ErrNewer, err)
	}
	if s.Version != version {
		return nil, 0, fmt.Errorf("snapshot: %w: it says version %d, its state version %d",
			ErrCorrupt, version, s.Version)
	}
	if err := s.whole(); err != nil {
		return nil, 0, fmt.Errorf("snapshot: %w: %w", ErrCorrupt, err)
	}
	return s, revision, nil
}
