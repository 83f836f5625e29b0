package leg

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// witnessPathMax bounds the file that says where a store's witness is.
const witnessPathMax = 4096

// openWitness opens the store's witness. A store that cannot have one works as well, with two system calls more for
// each write.
func (s *Store) openWitness(dir string) {
	if dir == "" {
		return
	}
	path := filepath.Join(dir, s.ID().String()+"."+witnessName)
	memory, err := s.fsys.Memory(path, witnessWords)
	if err == nil {
		s.witness = newWitness(memory, s.boot)
		err = s.noteWitness(path)
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		s.log.Info("no witness of writes under way: each costs two system calls more", "error", err)
	case err != nil:
		s.log.Warn("the witness of writes under way does not work as it should", "error", err)
	}
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
func readWitness(fsys FS, boot volume.UUID) map[volume.LegID][]block.Range {
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
	left := map[volume.LegID][]block.Range{}
	for n := range witnessPlaces {
		if id, r, ok := w.read(n); ok && w.speaksOf(boot) {
			left[id] = append(left[id], r)
		}
	}
	return left
}
