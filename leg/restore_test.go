package leg_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

// The engine mends a bad block by writing the good data over it, which looks much like what is there. When
// that write ends before it has stored anything, the block is as bad as before.
func TestRestore_doesNotTakeRotForGood(t *testing.T) {
	good := append(pattern(1, 1)[:2048], make([]byte, 2048)...)
	failures := map[string]func(f *memFS, cancel func()){
		"no space for the data": func(f *memFS, _ func()) {
			f.setTear(func(p string, _ int64, n int) (int, error) {
				if p == legPath("data") {
					return 0, block.ErrNoSpace
				}
				return n, nil
			})
		},
		"no space for a checksum": func(f *memFS, _ func()) {
			failed := false
			f.setTear(func(p string, _ int64, n int) (int, error) {
				if p == legPath("checksums") && !failed {
					failed = true
					return n, block.ErrNoSpace // it stored what it was given, and says otherwise
				}
				return n, nil
			})
		},
		"given up": func(f *memFS, cancel func()) {
			f.setHook(func(op, p string) error {
				if op == "write" && p == legPath("checksums") {
					cancel()
				}
				return nil
			})
		},
	}
	for name, fail := range failures {
		for i := range 4 {
			zero, announced := i&1 != 0, i&2 != 0
			t.Run(fmt.Sprintf("%s, zero %t, announced %t", name, zero, announced), func(t *testing.T) {
				fsys := newMemFS()
				fsys.noMemory = announced
				s := configured(t, openLeg(t, newStore(t, fsys)), 1)
				require.NoError(t, s.Write(t.Context(), good, 8192, block.FUA))
				fsys.flip(legPath("data"), 8192+1000, 3)
				require.ErrorIs(t, s.Read(t.Context(), make([]byte, 4096), 8192), block.ErrMedium)
				ctx, cancel := context.WithCancel(t.Context())
				fail(fsys, cancel)
				var err error
				if zero {
					err = s.Zero(ctx, block.Range{Off: 8192, Len: 4096}, block.Unmap)
				} else {
					err = s.Write(ctx, good, 8192, 0)
				}
				fsys.setTear(nil)
				fsys.setHook(nil)
				got, want := make([]byte, 4096), good
				readErr := s.Read(t.Context(), got, 8192)
				// Without a witness the first checksums that are written come before the data, with one after it.
				if err != nil && (announced || name != "no space for a checksum") {
					require.ErrorIs(t, readErr, block.ErrMedium, "after %v", err)
					return
				}
				if zero {
					want = make([]byte, 4096)
				}
				require.NoError(t, readErr)
				require.Equal(t, want, got)
			})
		}
	}
}
