package debian

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is copied out of this machine runs without the machine's own loader and libraries.
func TestProgram_runsWhereverItIsPut(t *testing.T) {
	const program = "usr/bin/env"
	if libraries, _ := filepath.Glob("/usr/lib/*-linux-gnu*/libc.so.6"); len(libraries) == 0 {
		t.Skip("this machine is not like Debian")
	}
	dir := filepath.Join(t.TempDir(), "program")
	require.NoError(t, Program("/", program, dir))
	require.FileExists(t, filepath.Join(dir, "libc.so.6"))
	run := exec.Command(filepath.Join(dir, LoaderName), "--inhibit-cache", "--library-path", dir, "--list",
		filepath.Join(dir, "env"))
	out, err := run.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), filepath.Join(dir, "libc.so.6"))
	out, err = exec.Command(filepath.Join(dir, LoaderName), "--library-path", dir, filepath.Join(dir, "env"), "-i",
		"A=1").CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestProgram_faults(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "script"), []byte("#!/bin/sh\n"), 0o600))
	require.ErrorContains(t, Program(root, "script", filepath.Join(dir, "a")), "program script: ")
	require.ErrorIs(t, Program(root, "none", filepath.Join(dir, "b")), os.ErrNotExist)
	require.ErrorIs(t, Program(root, "none", dir), os.ErrExist)

	own, err := os.ReadFile("/usr/bin/env")
	if err != nil {
		t.Skip(err)
	}
	require.NoError(t, os.WriteFile(filepath.Join(root, "env"), own, 0o600))
	require.ErrorContains(t, Program(root, "env", filepath.Join(dir, "c")), "the packages have no library lib")
}
