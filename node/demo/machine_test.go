package demo

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
)

// What is missing for a virtual machine is said before anything runs.
func TestRun_guestSaysWhatToInstall(t *testing.T) {
	programs, dir := t.TempDir(), t.TempDir()
	t.Setenv("PATH", programs)
	o := Options{Out: io.Discard, Guest: true, TempDir: dir, Cache: t.TempDir()}
	require.ErrorContains(t, Run(t.Context(), o), "apt install qemu-system-x86")
	for _, p := range []string{"qemu-system-x86_64", "e2fsck"} {
		require.NoError(t, os.WriteFile(filepath.Join(programs, p), []byte("#!/bin/sh"), 0o700))
	}
	require.ErrorContains(t, Run(t.Context(), o), "apt install e2fsprogs")
	require.NoError(t, os.WriteFile(filepath.Join(programs, "mke2fs"), []byte("#!/bin/sh"), 0o700))
	require.ErrorContains(t, Run(t.Context(), o), "apt-get is not here")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// The place at the console knows on which host a number was reported.
func TestSeat_hears(t *testing.T) {
	var s seat
	require.Zero(t, s.last())
	for _, out := range []api.ConsoleOutput{{Host: "h1"}, {Data: []byte("guest: synced 4\r\nguest: syn")},
		{Data: []byte("ced 5\r\nguest: syn")}, {Host: "h2"}, {Data: []byte("ced 6\r\nbooting")}} {
		s.hear(out)
	}
	require.EqualValues(t, 5, s.last(), "a line that was cut is none")
	all := func(uint64) bool { return true }
	n, err := s.await(t.Context(), "h1", "", all)
	require.NoError(t, err)
	require.EqualValues(t, 4, n)
	s.ended = io.ErrUnexpectedEOF
	_, err = s.await(t.Context(), "h2", "a number", all)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	s.hear(api.ConsoleOutput{Data: []byte("guest: synced 9\r\n")})
	n, err = s.await(t.Context(), "h2", "", all)
	require.NoError(t, err)
	require.EqualValues(t, 9, n)
}
