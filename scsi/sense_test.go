package scsi

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSense_fixedFormat(t *testing.T) {
	s := Sense{Key: Miscompare, ASC: 0x1d, Information: 0x01020304, Valid: true}
	want := []byte{0xf0, 0, 0x0e, 1, 2, 3, 4, 10, 0, 0, 0, 0, 0x1d, 0, 0, 0, 0, 0}
	require.Equal(t, want, s.AppendFixed(nil))
	got, err := ParseSense(want)
	require.NoError(t, err)
	require.Equal(t, s, got)

	s.Information = 1 << 32
	require.Equal(t, []byte{0x70, 0, 0x0e, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x1d, 0, 0, 0, 0, 0},
		s.AppendFixed(nil), "information that does not fit is not valid")
}

func TestSense_descriptorFormat(t *testing.T) {
	s := Sense{Key: IllegalRequest, ASC: 0x21, ASCQ: 0x04, Information: 1 << 40, Valid: true}
	want := []byte{0x72, 5, 0x21, 4, 0, 0, 0, 12, 0, 10, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, 0}
	require.Equal(t, want, s.AppendDescriptor(nil))
	got, err := ParseSense(want)
	require.NoError(t, err)
	require.Equal(t, s, got)
	require.Equal(t, []byte{0x72, 6, 0x29, 0, 0, 0, 0, 0}, sensePowerOn.sense().AppendDescriptor(nil))
}

// Sense may be cut short by the target; what is there must be right and nothing may be made up.
func TestParseSense_everyPrefix(t *testing.T) {
	s := Sense{Key: MediumError, ASC: 0x11, ASCQ: 0x02, Information: 77, Valid: true}
	for _, whole := range [][]byte{s.AppendFixed(nil), s.AppendDescriptor(nil)} {
		for n := range len(whole) {
			got, err := ParseSense(whole[:n])
			if n < 3 {
				require.Error(t, err)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, MediumError, got.Key)
			require.Contains(t, []byte{0, 0x11}, got.ASC)
			require.Contains(t, []uint64{0, 77}, got.Information)
			require.Equal(t, got.Valid, got.Information == 77)
		}
	}
	_, err := ParseSense([]byte{0x42, 0, 0})
	require.ErrorIs(t, err, errSenseFormat)
}

func FuzzParseSense(f *testing.F) {
	f.Add(senseMiscompare.sense().AppendFixed(nil))
	f.Add(Sense{Key: IllegalRequest, Information: 9, Valid: true}.AppendDescriptor(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSense(b)
		if err != nil {
			return
		}
		again, err := ParseSense(s.AppendDescriptor(nil))
		require.NoError(t, err)
		require.Equal(t, s, again)
	})
}
