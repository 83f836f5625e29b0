package domain

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/domain/libvirtd"
	"github.com/holdfast-storage/holdfast/domain/proc"
)

// libvirtNamespace is a script that makes a machine of its own for a libvirt daemon, as far as that needs one: its
// directories, the user that it was built for, and no process that outlives it. Guests run as root, without KVM.
const libvirtNamespace = `set -e
mount -t proc proc /proc
for d in /etc/libvirt /var/lib/libvirt /run/libvirt /var/cache/libvirt /var/log/libvirt; do
  mkdir -p $d
  mount -t tmpfs libvirt $d
done
cp /etc/passwd /etc/group /run/libvirt
grep -q ^libvirt-qemu: /etc/passwd || echo libvirt-qemu:x:64055:64055::/:/bin/false >>/run/libvirt/passwd
grep -q ^libvirt-qemu: /etc/group || echo libvirt-qemu:x:64055: >>/run/libvirt/group
mount --bind /run/libvirt/passwd /etc/passwd
mount --bind /run/libvirt/group /etc/group
cat >/etc/libvirt/qemu.conf <<.
security_driver = "none"
stdio_handler = "file"
cgroup_controllers = []
namespaces = []
.
cat >/etc/libvirt/libvirtd.conf <<.
unix_sock_dir = "$1"
auth_unix_rw = "none"
.
libvirtd -f /etc/libvirt/libvirtd.conf -p "$1/pid"
exit $? # not exec: as the first process of its namespace libvirtd would wait for ever for a QEMU that it starts
`

// realLibvirt starts a libvirt daemon and returns the order of a guest that counts on its disk.
func realLibvirt(t *testing.T) Order {
	t.Helper()
	if _, err := exec.LookPath("libvirtd"); err != nil || os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("it takes root and libvirtd")
		}
		t.Skip("it takes root and libvirtd; ./scripts/packages installs that")
	}
	o := realQEMU(t)
	dir := filepath.Dir(o.Dir)
	said, err := os.Create(filepath.Join(dir, "libvirtd.log"))
	require.NoError(t, err)
	defer said.Close()
	daemon := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--propagation=private",
		"sh", "-c", libvirtNamespace, "libvirt", dir)
	daemon.Stdout, daemon.Stderr = said, said
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, daemon.Start())
	t.Cleanup(func() {
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
	})
	socket := filepath.Join(dir, "libvirt-sock")
	d := libvirtd.Daemon{Socket: socket, URI: "qemu:///system"}
	if !eventually(t, func(ctx context.Context) bool {
		return d.Remove(ctx, "nobody", func(string) bool { return false }) == nil
	}) {
		text, _ := os.ReadFile(said.Name())
		require.Fail(t, "libvirtd does not come up", "%s", text)
	}
	o.Driver = DriverLibvirt
	o.Settings, err = json.Marshal(map[string]any{"socket": socket, "accelerator": "tcg", "machine": "pc"})
	require.NoError(t, err)
	return o
}

func eventually(t *testing.T, is func(context.Context) bool) bool {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		ok := is(ctx)
		cancel()
		if ok {
			return true
		}
	}
	return false
}

func TestLibvirt_runsIsAdoptedHaltedAndKilled(t *testing.T) {
	o := realLibvirt(t)
	first, err := NewLibvirt(Options{}).Start(t.Context(), o)
	require.NoError(t, err)
	goesOn(t, o)
	_, err = NewLibvirt(Options{}).Start(t.Context(), o)
	require.ErrorIs(t, err, ErrRunning)

	first.Release() // the daemon is restarted
	p, err := NewLibvirt(Options{}).Adopt(t.Context(), o.Dir)
	require.NoError(t, err)
	require.Equal(t, first.ID(), p.ID())
	own := p.(*libvirtProcess).localProcess
	require.NoError(t, libvirtCall(t.Context(), own, libvirtd.Daemon.Suspend))
	require.Error(t, libvirtPowerDown(t.Context(), own), "it could not notice")
	require.NoError(t, libvirtCall(t.Context(), own, libvirtd.Daemon.Resume))
	goesOn(t, o)
	console, err := p.(Consoler).Console(t.Context())
	require.NoError(t, err)
	require.NoError(t, console.SetDeadline(time.Now().Add(time.Minute)))
	_, err = console.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, console.Close())

	// What the engine's guard does to a guest whose grant is lost, halted or not.
	require.NoError(t, libvirtCall(t.Context(), own, libvirtd.Daemon.Suspend))
	require.NoError(t, proc.Signal([]proc.ID{p.ID()}, syscall.SIGKILL))
	requireEnd(t, p)
	before := counted(o)
	o.Run = 2
	again := start(t, NewLibvirt(Options{}), o)
	require.Eventually(t, func() bool { return counted(o) > before+1 }, time.Minute, 10*time.Millisecond)
	require.NoError(t, again.Stop(t.Context(), 300*time.Millisecond), "it has no notion of a power button")
	require.Equal(t, PhaseKilled, again.State().Phase)
}

// A domain that somebody made by hand is nobody's to end; what a start that was given up left behind is.
func TestLibvirt_aDomainOfTheSameName(t *testing.T) {
	o := realLibvirt(t)
	s, err := libvirtSettingsOf(o.definition())
	require.NoError(t, err)
	xml, err := libvirtXML(o, s, "another-token")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(o.Dir, 0o700))
	require.NoError(t, s.daemon().Create(t.Context(), strings.ReplaceAll(xml, EnvToken, "OTHER")))
	d := NewLibvirt(Options{})
	_, err = d.Start(t.Context(), o)
	require.ErrorIs(t, err, libvirtd.ErrRefused)
	require.ErrorContains(t, err, "there is another domain of the name web1")
	_, err = d.Adopt(t.Context(), o.Dir)
	require.ErrorIs(t, err, ErrNone)

	require.NoError(t, s.daemon().Quit(t.Context(), "web1"))
	require.NoError(t, s.daemon().Create(t.Context(), xml))
	elsewhere := o
	elsewhere.Dir = filepath.Join(t.TempDir(), "web1")
	_, err = d.Start(t.Context(), elsewhere)
	require.ErrorContains(t, err, "there is another domain of the name web1", "it is of another cluster")
	start(t, d, o)
	goesOn(t, o)
	left, err := proc.FindEnv(EnvToken, "another-token")
	require.NoError(t, err)
	require.Empty(t, left)
}

// What libvirt and QEMU say of why a guest does not start is in the error, and nothing is remembered.
func TestLibvirt_refusalsAreRepeated(t *testing.T) {
	o := realLibvirt(t)
	d := NewLibvirt(Options{})
	o.Machine.Boot = &guest.Boot{Kernel: "/no/such/kernel"}
	_, err := d.Start(t.Context(), o)
	require.ErrorIs(t, err, libvirtd.ErrRefused)
	require.ErrorContains(t, err, "/no/such/kernel")
	_, err = d.Adopt(t.Context(), o.Dir)
	require.ErrorIs(t, err, ErrNone)
}
