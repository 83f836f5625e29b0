package disk

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tree makes a sysfs: paths that end with a slash are directories, others are files or, with an arrow, links.
func tree(t *testing.T, entries map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, content := range entries {
		full := filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		if target, ok := cutArrow(content); ok {
			require.NoError(t, os.Symlink(filepath.Join(root, target), full))
			continue
		}
		require.NoError(t, os.WriteFile(full, []byte(content), 0o644))
	}
	return root
}

func cutArrow(s string) (string, bool) {
	if len(s) > 2 && s[:2] == "->" {
		return s[2:], true
	}
	return "", false
}

func TestFind(t *testing.T) {
	root := tree(t, map[string]string{
		"dev/block/8:0":   "->devices/pci/host0/block/sda",
		"dev/block/8:1":   "->devices/pci/host0/block/sda/sda1",
		"dev/block/7:3":   "->devices/virtual/block/loop3",
		"dev/block/253:0": "->devices/virtual/block/dm-0",
		"dev/block/253:1": "->devices/virtual/block/dm-1",
		"dev/block/253:2": "->devices/virtual/block/dm-2",

		"devices/pci/host0/block/sda/size":             "100",
		"devices/pci/host0/block/sda/device/ioerr_cnt": "0x1f\n",
		"devices/pci/host0/block/sda/sda1/partition":   "1",
		"devices/pci/host1/block/nvme0n1/size":         "100",
		"devices/virtual/block/loop3/size":             "100",
		"devices/virtual/block/dm-0/slaves/sda1":       "->devices/pci/host0/block/sda/sda1",
		"devices/virtual/block/dm-1/slaves/dm-0":       "->devices/virtual/block/dm-0",
		"devices/virtual/block/dm-2/slaves/sda1":       "->devices/pci/host0/block/sda/sda1",
		"devices/virtual/block/dm-2/slaves/nvme0n1":    "->devices/pci/host1/block/nvme0n1",
	})
	for number, want := range map[[2]uint32]string{{8, 0}: "sda", {8, 1}: "sda", {7, 3}: "loop3",
		{253, 0}: "sda", {253, 1}: "sda"} {
		d, err := find(root, number[0], number[1])
		require.NoError(t, err, number)
		require.Equal(t, want, d.Name, number)
		require.Equal(t, want == "sda", d.Physical)
		n, counts := d.Errors()
		require.Equal(t, want == "sda", counts)
		if counts {
			require.EqualValues(t, 31, n)
		}
	}
	_, err := find(root, 253, 2)
	require.ErrorIs(t, err, ErrNone)
	require.ErrorContains(t, err, "dm-2 lies on 2 devices")
	_, err = find(root, 9, 9)
	require.ErrorIs(t, err, ErrNone)
	require.ErrorContains(t, err, "9:9")

	// Where this test runs there is a disk, or a reason why none is known.
	d, err := Find(Sysfs, t.TempDir())
	require.True(t, err == nil && d.Name != "" || IsNone(err), "%v", err)
	_, err = Find(Sysfs, "/proc")
	require.ErrorIs(t, err, ErrNone)
	_, err = Find(Sysfs, filepath.Join(t.TempDir(), "none"))
	require.Error(t, err)
	require.False(t, IsNone(err))
}

func TestLatency(t *testing.T) {
	var l Latency
	require.Zero(t, l.Now())
	require.Zero(t, l.Usual())
	l.Note(0) // nothing was read
	require.Zero(t, l.Now())
	for i := range 100 {
		l.Note(time.Duration(900+i%3*100) * time.Microsecond)
	}
	require.Equal(t, time.Millisecond, l.Now())
	require.InDelta(t, float64(time.Millisecond), float64(l.Usual()), float64(100*time.Microsecond))
	for range 5 {
		l.Note(time.Second)
	}
	require.Less(t, l.Now(), 2*time.Millisecond, "some slow reads say nothing")
	for range 60 { // two minutes
		l.Note(100 * time.Millisecond)
	}
	require.Equal(t, 100*time.Millisecond, l.Now())
	require.Less(t, l.Usual(), 10*time.Millisecond, "its past is not forgotten at once")
	for range 20_000 {
		l.Note(100 * time.Millisecond)
	}
	require.Greater(t, l.Usual(), 50*time.Millisecond, "what goes on for half a day is the usual")
}

// program writes a shell script in place of smartctl.
func program(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "smartctl")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o755))
	return path
}

func TestSmartctl(t *testing.T) {
	sample, err := filepath.Abs("testdata/sata_dying.json")
	require.NoError(t, err)
	d := Device{Name: "sda", Physical: true}
	ask := func(d Device, program string) (Smart, error) {
		return (&Smartctl{Program: program}).Read(t.Context(), d)
	}
	s, err := ask(d, program(t, fmt.Sprintf("[ \"$4\" = /dev/sda ] || exit 9\ncat %s\nexit 216\n", sample)))
	require.NoError(t, err, "the exit code is about the drive")
	require.EqualValues(t, 8, s.Pending)

	_, err = ask(d, filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, ErrNone)
	require.ErrorContains(t, err, "smartmontools")
	_, err = ask(Device{Name: "loop3"}, "")
	require.ErrorIs(t, err, ErrNone)
	_, err = ask(d, program(t, "yes | head -c 4000000\n"))
	require.Error(t, err, "an output without end is not kept")
	require.False(t, IsNone(err))
}

// A drive that does not answer holds up nothing: the program and its children end with the context.
func TestSmartctl_hangs(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "started")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	script := program(t, fmt.Sprintf("sleep 1000 &\necho $! > %s.tmp\nmv %[1]s.tmp %[1]s\nwait\n", marker))
	go func() {
		_, err := (&Smartctl{Program: script}).Read(ctx, Device{Name: "sda", Physical: true})
		done <- err
	}()
	require.Eventually(t, func() bool {
		_, err := os.Stat(marker)
		return err == nil
	}, 20*time.Second, time.Millisecond)
	cancel()
	require.ErrorContains(t, <-done, "does not answer")
	child, err := os.ReadFile(marker)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		text, err := os.ReadFile("/proc/" + string(child[:len(child)-1]) + "/stat")
		return err != nil || containsState(string(text), 'Z')
	}, 20*time.Second, time.Millisecond, "its child has ended, too")
}

// A process that hangs in the kernel cannot be killed. Nobody waits for it, and its drive is left alone until it ends.
func TestSmartctl_hangsInTheKernel(t *testing.T) {
	sample, err := filepath.Abs("testdata/sata_dying.json")
	require.NoError(t, err)
	sda, sdb := Device{Name: "sda", Physical: true}, Device{Name: "sdb", Physical: true}
	asked := filepath.Join(t.TempDir(), "asked")
	thaw := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	s := &Smartctl{Program: program(t, fmt.Sprintf("echo $4 >>%s\ncat %s\n", asked, sample))}
	s.waitFor = func(cmd *exec.Cmd) error {
		if cmd.Args[len(cmd.Args)-1] == sda.Path() {
			cancel() // as at the end of the daemon
			<-thaw
		}
		return cmd.Wait()
	}
	_, err = s.Read(ctx, sda)
	require.ErrorContains(t, err, "hangs in the kernel")
	for range 3 {
		_, err = s.Read(t.Context(), sda)
		require.ErrorContains(t, err, "not asked again")
		require.False(t, IsNone(err), "there is one, and nobody knows what it would say")
	}
	_, err = s.Read(t.Context(), sdb)
	require.NoError(t, err, "another drive is none of its business")
	close(thaw)
	require.Eventually(t, func() bool {
		got, err := s.Read(t.Context(), sda)
		return err == nil && got.Pending == 8
	}, 20*time.Second, time.Millisecond)
	text, err := os.ReadFile(asked)
	require.NoError(t, err)
	require.LessOrEqual(t, strings.Count(string(text), "sda"), 2, "before it ended, no second process was started")
}

func containsState(stat string, state byte) bool {
	for i := len(stat) - 1; i >= 0; i-- {
		if stat[i] == ')' {
			return i+2 < len(stat) && stat[i+2] == state
		}
	}
	return false
}
