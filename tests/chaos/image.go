package chaos

import (
	"fmt"
	"os"
)

// ReadImage reads a writer's blocks from a file that holds a volume's bytes, such as the data of a leg.
func ReadImage(path string, blocks int64) ([]Content, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	out := make([]Content, blocks)
	p := make([]byte, BlockBytes)
	for b := range blocks {
		if _, err := f.ReadAt(p, OffsetOf(b, blocks, info.Size())); err != nil {
			return nil, fmt.Errorf("block %d: %w", b, err)
		}
		out[b] = parse(p, b)
	}
	return out, nil
}
