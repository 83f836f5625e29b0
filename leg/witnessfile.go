package leg

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/holdfast-storage/holdfast/volume"
)

// witnessPathMax bounds the file that says where a store's witness is.
const witnessPathMax = 4096

// KeepWitness gives the store a witness in a directory in memory (tmpfs), of this user alone: what has to outlive the
// process and not the boot. It is called once it is sure that the store is no copy of another one, since both would
// have the same, and before the first leg is opened. A store without one works as well, at two system calls more for
// each write; the error says why it has none, and wraps errors.ErrUnsupported if the directory is not in memory.
func (s *Store) KeepWitness(dir string) error {
	legs, err := s.List()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, s.ID().String()+"."+witnessName)
	memory, err := s.fsys.Memory(path, witnessWords)
	if err != nil {
		return fmt.Errorf("store %s: witness: %w", s.ID(), err)
	}
	s.witness = newWitness(memory, s.boot, legs)
	if err := s.noteWitness(path); err != nil {
		s.log.Warn("where the witness is could not be written down", "error", err)
	}
	return nil
}

// noteWitness writes down where the witness is, for whoever looks at the store while no node runs. It need not be
// durable: it is of use in this boot alone.
func (s *Store) noteWitness(path string) error {
	if noted, err := readFile(s.fsys, witnessName, witnessPathMax); err == nil && string(noted) == path+"\n" {
		return nil
	}
	err := s.fsys.RemoveAll(witnessName)
	if err != nil {
		return err
	}
	file, err := s.fsys.Create(witnessName)
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte(path+"\n"), 0)
	return errors.Join(err, file.Close())
}

// readWitness returns what the process that used the store last had under way on its legs, if that was in this boot.
// What cannot be read is not known: then a block that was under way looks like one that is damaged.
func readWitness(fsys FS, boot volume.UUID) map[volume.LegID][]place {
	path, err := readFile(fsys, witnessName, witnessPathMax)
	if err != nil {
		return nil
	}
	memory, err := fsys.Memory(strings.TrimSuffix(string(path), "\n"), witnessWords)
	if err != nil {
		return nil
	}
	defer func() { _ = memory.Close() }()
	w := witness{memory: memory}
	if !w.speaksOf(boot) {
		return nil
	}
	left := map[volume.LegID][]place{}
	for n := range witnessPlaces {
		if p := w.read(n); !p.blocks.Empty() {
			left[p.leg] = append(left[p.leg], p)
		}
	}
	return left
}
