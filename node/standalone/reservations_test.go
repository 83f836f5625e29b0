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

func TestCheckReservationFiles(t *testing.T) {
	dir := t.TempDir()
	a, b := LUN{Path: filepath.Join(dir, "a")}, LUN{Path: filepath.Join(dir, "b")}
	require.NoError(t, checkReservationFiles([]LUN{a, b}))
	a.Reservations, b.Reservations = filepath.Join(dir, "r"), filepath.Join(dir, ".", "r")
	require.ErrorContains(t, checkReservationFiles([]LUN{a, b}), "are one file")
	require.NoError(t, os.Symlink(dir, filepath.Join(dir, "link")))
	b.Reservations = filepath.Join(dir, "link", "r")
	require.ErrorContains(t, checkReservationFiles([]LUN{a, b}), "are one file")
	b.Reservations = a.Path
	require.ErrorContains(t, checkReservationFiles([]LUN{a, b}), "the data of LUN "+a.Path)
}
