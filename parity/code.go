package parity

import (
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/klauspost/reedsolomon"

	"github.com/holdfast-storage/holdfast/volume"
)

// ErrTooFew means that fewer than k chunks of a stripe are there: what is lost cannot be made from them.
var ErrTooFew = errors.New("too few chunks of a stripe are left")

// Code makes parity, and what was lost from what is left. It is safe for use by many goroutines.
type Code struct {
	data, extra int
	encoder     reedsolomon.Encoder
}

// NewCode returns the code of a layout of parity.
func NewCode(l volume.Layout) (*Code, error) {
	if err := l.Check(); err != nil {
		return nil, fmt.Errorf("parity: %w", err)
	}
	if l.Kind != volume.KindParity {
		return nil, fmt.Errorf("parity: layout %s has no parity", l)
	}
	// Callers are many already, one for each stripe that is being worked on, and a chunk is small: goroutines
	// inside would only cost. The matrix is named since it is what disks hold; a later library may prefer another.
	encoder, err := reedsolomon.New(l.Data, l.Extra, reedsolomon.WithMaxGoroutines(1),
		reedsolomon.WithCustomMatrix(matrix(l.Data, l.Extra)))
	if err != nil {
		return nil, fmt.Errorf("parity: layout %s: %w", l, err)
	}
	return &Code{data: l.Data, extra: l.Extra, encoder: encoder}, nil
}

// matrix returns the factors of the data chunks in each parity: 2^(j·d).
func matrix(data, extra int) [][]byte {
	rows := make([][]byte, extra)
	for j := range rows {
		rows[j] = make([]byte, data)
		for d := range rows[j] {
			rows[j][d] = 1
			for range j * d {
				rows[j][d] = double(rows[j][d])
			}
		}
	}
	return rows
}

// double multiplies by 2 in the field.
func double(b byte) byte {
	if b&0x80 != 0 {
		return b<<1 ^ 0x1d
	}
	return b << 1
}

// Encode makes the parity of a whole stripe: chunks are its k data chunks, then the m of parity, which are
// overwritten. All have one length.
func (c *Code) Encode(chunks [][]byte) error {
	if err := c.encoder.Encode(chunks); err != nil {
		return fmt.Errorf("parity: encode: %w", err)
	}
	return nil
}

// Verify reports whether the parity of a whole stripe is that of its data.
func (c *Code) Verify(chunks [][]byte) (bool, error) {
	same, err := c.encoder.Verify(chunks)
	if err != nil {
		return false, fmt.Errorf("parity: verify: %w", err)
	}
	return same, nil
}

// AddChange adds to the parity of some bytes what a change of the same bytes of data chunk d makes of it. The
// change is old ⊕ new (Change). parity holds one slice for each of the m chunks of parity, all as long as the
// change: the present bytes become the new ones, and zeroes become what a leg of parity is to add to its own. A
// change that is added twice is undone.
func (c *Code) AddChange(d int, change []byte, parity [][]byte) error {
	if d < 0 || d >= c.data {
		return fmt.Errorf("parity: chunk %d is no data chunk of %d", d, c.data)
	}
	if err := c.encoder.EncodeIdx(change, d, parity); err != nil {
		return fmt.Errorf("parity: change of chunk %d: %w", d, err)
	}
	return nil
}

// Change sets dst to old ⊕ new. All have one length; dst may be one of them.
func Change(dst, before, after []byte) { subtle.XORBytes(dst, before, after) }

// Reconstruct makes the chunks of a stripe that are wanted from those that are there. chunks are the k data
// chunks, then the m of parity; one that is lost is empty, and made in its own memory if it has room. Whatever
// is not wanted stays as it is. The error wraps ErrTooFew if fewer than k are there.
func (c *Code) Reconstruct(chunks [][]byte, wanted []bool) error {
	if len(chunks) != c.data+c.extra || len(wanted) != len(chunks) {
		return fmt.Errorf("parity: reconstruct: %d chunks of which %d may be wanted, want %d", len(chunks), len(wanted),
			c.data+c.extra)
	}
	there := 0
	for _, chunk := range chunks {
		if len(chunk) > 0 {
			there++
		}
	}
	if there < c.data {
		return fmt.Errorf("parity: reconstruct: %w: %d, it takes %d", ErrTooFew, there, c.data)
	}
	if err := c.encoder.ReconstructSome(chunks, wanted); err != nil {
		return fmt.Errorf("parity: reconstruct: %w", err)
	}
	return nil
}
