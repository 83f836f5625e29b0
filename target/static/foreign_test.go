package static

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block/filedev"
	"github.com/holdfast-storage/holdfast/scsi"
	"github.com/holdfast-storage/holdfast/target"
)

const (
	testName = "iqn.2026-11.com.example:disk"
	diskSize = 64 << 20
)

// needProgram skips the test if a foreign program is missing, and fails it where CI promises it.
func needProgram(t *testing.T, name, debianPackage string) {
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: apt-get install %s", name, debianPackage)
	}
	t.Skipf("%s is missing: apt-get install %s", name, debianPackage)
}

// needQEMU is needProgram for QEMU with its iSCSI driver.
func needQEMU(t *testing.T) {
	needProgram(t, "qemu-io", "qemu-utils")
	drivers, err := filepath.Glob("/usr/lib/*/qemu/block-iscsi.so")
	require.NoError(t, err)
	if len(drivers) > 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("QEMU has no iSCSI driver: apt-get install qemu-block-extra")
	}
	t.Skip("QEMU has no iSCSI driver: apt-get install qemu-block-extra")
}

// serve serves one file on loopback for the length of the test and returns its portal and path.
func serve(t *testing.T, creds target.Credentials) (portal, path string) {
	path = filepath.Join(t.TempDir(), "disk")
	dev, err := filedev.Open(path, filedev.Options{SizeBytes: diskSize})
	require.NoError(t, err)
	disk, err := scsi.New(dev, scsi.Options{Serial: "static-test", NAA: scsi.LocalNAA([]byte(path))})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, Options{Listeners: []net.Listener{l}, Targets: []Target{
			{Name: testName, LUNs: map[uint64]scsi.LogicalUnit{0: disk, 300: disk}, Credentials: creds}}})
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, dev.Close())
	})
	return l.Addr().String(), path
}

// run runs a foreign program and returns what it printed.
func run(t *testing.T, wantOK bool, name string, args ...string) string {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	require.NoError(t, ctx.Err(), "%s hangs: %s", name, out)
	require.Equal(t, wantOK, err == nil, "%s %v: %v: %s", name, args, err, out)
	return string(out)
}

func TestForeign_libiscsiTools(t *testing.T) {
	needProgram(t, "iscsi-ls", "libiscsi-bin")
	portal, _ := serve(t, target.Credentials{})
	unit := fmt.Sprintf("iscsi://%s/%s/0", portal, testName)
	list := run(t, true, "iscsi-ls", "-s", "iscsi://"+portal)
	require.Contains(t, list, "Target:"+testName+" Portal:"+portal+",1")
	require.Contains(t, list, "Lun:0 ")
	// These tools print the LUN field as it is: 300 in flat space addressing has the method in front.
	require.Contains(t, list, "Lun:16684 ")
	require.Contains(t, run(t, true, "iscsi-inq", unit), "Vendor:HOLDFAST")
	require.Contains(t, run(t, true, "iscsi-readcapacity16", unit), fmt.Sprint("Total size:", diskSize))
	run(t, false, "iscsi-readcapacity16", fmt.Sprintf("iscsi://%s/%s/7", portal, testName))
	run(t, false, "iscsi-inq", fmt.Sprintf("iscsi://%s/%s.other/0", portal, testName))
}

func TestForeign_chap(t *testing.T) {
	needProgram(t, "iscsi-inq", "libiscsi-bin")
	portal, _ := serve(t, target.Credentials{User: "host", Secret: "secret of the host",
		MutualUser: "disk", MutualSecret: "secret of the disk"})
	plain := fmt.Sprintf("iscsi://%s/%s/0", portal, testName)
	withSecret := func(secret string) string {
		return fmt.Sprintf("iscsi://host%%%s@%s/%s/0", secret, portal, testName)
	}
	run(t, false, "iscsi-inq", plain)
	run(t, false, "iscsi-inq", withSecret("secret of another"))
	run(t, true, "iscsi-inq", withSecret("secret of the host"))
	mutual := "?target_user=disk&target_password="
	run(t, true, "iscsi-inq", withSecret("secret of the host")+mutual+"secret of the disk")
	run(t, false, "iscsi-inq", withSecret("secret of the host")+mutual+"secret of another")
}

func TestForeign_qemuIO(t *testing.T) {
	needQEMU(t)
	portal, path := serve(t, target.Credentials{})
	unit := fmt.Sprintf("iscsi://%s/%s/0", portal, testName)
	run(t, true, "qemu-io", "-f", "raw", "-c", "write -P 7 64k 64k", "-c", "write -P 9 1M 9M",
		"-c", "flush", "-c", "discard 2M 1M", "-c", "write -z 4M 64k", "-c", "read -P 7 64k 64k",
		"-c", "read -P 9 5M 5M", "-c", "read -P 0 4M 64k", unit)
	// What QEMU reads back through the target is what the file holds.
	raw := filepath.Join(t.TempDir(), "copy")
	run(t, true, "qemu-img", "convert", "-f", "raw", "-O", "raw", unit, raw)
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	got, err := os.ReadFile(raw)
	require.NoError(t, err)
	require.True(t, string(want) == string(got))
	require.Equal(t, byte(7), got[64<<10])
}
