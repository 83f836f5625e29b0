package standalone

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReservationFile(t *testing.T) {
	f := reservationFile{filepath.Join(t.TempDir(), "disk.img"+reservationsSuffix)}
	kept, err := f.Load()
	require.NoError(t, err)
	require.Nil(t, kept)
	require.NoError(t, f.Save(nil), "there is nothing to remove")
	require.NoError(t, f.Save([]byte("first")))
	require.NoError(t, f.Save([]byte("second")))
	kept, err = f.Load()
	require.NoError(t, err)
	require.Equal(t, "second", string(kept))
	require.NoError(t, f.Save(nil))
	kept, err = f.Load()
	require.NoError(t, err)
	require.Nil(t, kept)
	entries, err := os.ReadDir(filepath.Dir(f.path))
	require.NoError(t, err)
	require.Empty(t, entries, "nothing is left behind")
	require.Error(t, reservationFile{"/does/not/exist"}.Save([]byte("x")))
}

func TestReservationsOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	for want, l := range map[string]LUN{
		path + ".reservations": {Path: path},
		"/elsewhere":           {Path: path, Reservations: "/elsewhere"},
		"":                     {Path: os.DevNull},
	} {
		got, err := reservationsOf(l)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// A LUN whose reservations cannot be read is not served, and the error says which file and what to do.
func TestServe_refusesDamagedReservations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	require.NoError(t, os.WriteFile(path+reservationsSuffix, []byte("what is this"), 0o600))
	err := Serve(t.Context(), Options{Listen: []string{"127.0.0.1:0"}, IQN: "iqn.2026-11.example:disk",
		LUNs: []LUN{{Path: path, SizeBytes: 1 << 20}}})
	require.ErrorContains(t, err, "then remove "+path+reservationsSuffix)
}
