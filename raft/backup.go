package raft

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// BackupVersion is the version of a backup's form, and the only one that is read.
const BackupVersion = 1

// A backup is a line of text, "holdfast-backup <version> <length> <crc32c>\n", that many bytes of JSON (a
// BackupInfo, of which the checksum is), then a snapshot, which has a checksum of its own.
const backupHeader = "holdfast-backup %d %d %08x\n"

// backupInfoMax bounds the JSON of a backup that is read, in bytes.
const backupInfoMax = 1 << 20

// BackupInfo says what a backup is of.
type BackupInfo struct {
	Cluster     string           `json:"cluster"`
	ID          volume.ClusterID `json:"id"`
	Incarnation volume.ClusterID `json:"incarnation"`
	Generation  uint32           `json:"generation"`
	Revision    uint64           `json:"revision"`
	At          time.Time        `json:"at"`
	Volumes     int              `json:"volumes"`
	Nodes       int              `json:"nodes"`
}

// WriteBackup writes a state. What is written holds the secrets of the cluster.
func WriteBackup(w io.Writer, s *State, revision uint64, at time.Time) error {
	info, err := json.Marshal(BackupInfo{Cluster: s.Cluster.Name, ID: s.Cluster.ID,
		Incarnation: s.Cluster.Incarnation, Generation: s.Cluster.RestoreGen, Revision: revision, At: at.UTC(),
		Volumes: len(s.Volumes), Nodes: len(s.Nodes)})
	if err != nil {
		return fmt.Errorf("write a backup: %w", err)
	}
	sum := crc32.Checksum(info, castagnoli())
	if _, err := fmt.Fprintf(w, backupHeader+"%s", BackupVersion, len(info), sum, info); err != nil {
		return fmt.Errorf("write a backup: %w", err)
	}
	return WriteSnapshot(w, s, revision)
}

// ReadBackup reads what WriteBackup wrote. A truncated or altered backup is ErrCorrupt.
func ReadBackup(r io.Reader) (BackupInfo, *State, error) {
	in := bufio.NewReader(r)
	line, err := in.ReadString('\n')
	if err != nil || len(line) > 100 {
		return BackupInfo{}, nil, fmt.Errorf("backup: %w: it has no first line", ErrCorrupt)
	}
	var version, length int
	var sum uint32
	n, err := fmt.Sscanf(line, backupHeader, &version, &length, &sum)
	switch {
	case n > 0 && version != BackupVersion:
		return BackupInfo{}, nil, fmt.Errorf("backup of version %d: this program reads version %d; use the one that "+
			"wrote it", version, BackupVersion)
	case err != nil || length < 0 || length > backupInfoMax:
		return BackupInfo{}, nil, fmt.Errorf("backup: %w: its first line is %q", ErrCorrupt, line)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(in, text); err != nil || crc32.Checksum(text, castagnoli()) != sum {
		return BackupInfo{}, nil, fmt.Errorf("backup: %w: what it says of itself is not whole", ErrCorrupt)
	}
	var info BackupInfo
	if err := decodeStrict(text, &info); err != nil {
		return BackupInfo{}, nil, fmt.Errorf("backup of an unknown form (written by a newer version?): %w", err)
	}
	s, _, err := ReadSnapshot(in)
	if err != nil {
		return BackupInfo{}, nil, fmt.Errorf("backup: %w", err)
	}
	if s.Cluster.ID != info.ID || s.Cluster.Incarnation != info.Incarnation {
		return BackupInfo{}, nil, fmt.Errorf("backup: %w: its two parts are of different clusters", ErrCorrupt)
	}
	return info, s, nil
}
