package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/volume"
)

// record is what the node remembers of its stores: by name, which store it is.
type record struct {
	Format int                       `json:"format"`
	Stores map[string]volume.StoreID `json:"stores"`
}

// RecordFormat is the version of the record of stores, and the only one that this program reads.
const RecordFormat = 1

// readRecord reads the record; a missing file is a node that has had no store yet.
func readRecord(path string) (record, error) {
	r := record{Format: RecordFormat, Stores: map[string]volume.StoreID{}}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, fmt.Errorf("record of stores %s: %w", path, err)
	}
	if r.Format != RecordFormat || r.Stores == nil {
		return r, fmt.Errorf("record of stores %s: format %d, this program knows %d", path, r.Format,
			RecordFormat)
	}
	return r, nil
}

func (r record) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(text, '\n'), 0o600)
}
