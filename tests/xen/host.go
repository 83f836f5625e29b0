package xen

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/holdfast-storage/holdfast/domain/qmp"
	"github.com/holdfast-storage/holdfast/tests/debian"
)

// Memory of a Xen host, and what of it its dom0 has, in MiB. The rest is for guests.
const (
	hostMemory = 1280
	dom0Memory = 768
)

// Host is a machine in emulation that runs Xen, and on it a Holdfast node with the role host.
type Host struct {
	Name, Address string // as a node

	image Image
	dir   string // its disk, its serial lines, its sockets
	qemu  *exec.Cmd
}

// NewHost makes a host in a directory, whose disk has the files of a tree.
func NewHost(ctx context.Context, i Image, name, address, dir, tree string) (*Host, error) {
	h := &Host{Name: name, Address: address, image: i, dir: dir}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := i.ramDisk(ctx, h.file("initrd")); err != nil {
		return nil, err
	}
	_, err := debian.Run(ctx, "", "mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", tree, h.file("node.ext4"),
		"256m")
	if err != nil {
		return nil, fmt.Errorf("disk of the Xen host %s: %w", name, err)
	}
	return h, nil
}

func (h *Host) file(name string) string { return filepath.Join(h.dir, name) }

// Tap returns the network device that the host is at: the caller makes it.
func (h *Host) Tap() string { return "tap-" + h.Name }

// Boot switches the host on. Its serial lines are written on from where they are.
func (h *Host) Boot() error {
	if h.qemu != nil {
		return fmt.Errorf("the Xen host %s runs already", h.Name)
	}
	log, err := os.OpenFile(h.file("qemu.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	h.qemu = exec.Command("qemu-system-x86_64", h.args()...)
	h.qemu.Stdout, h.qemu.Stderr = log, log
	if err := h.qemu.Start(); err != nil {
		h.qemu = nil
		return fmt.Errorf("start the Xen host %s: %w", h.Name, err)
	}
	return nil
}

// args returns QEMU's arguments. Xen does not boot on every processor that QEMU emulates: on this one it does.
func (h *Host) args() []string {
	modules := []string{
		h.image.kernel() + " console=hvc0 quiet loglevel=4 panic=-1 node.name=" + h.Name + " node.address=" + h.Address,
		h.file("initrd"),
	}
	return []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-accel", "tcg,thread=multi", "-cpu", "Haswell-noTSX,-cx16", "-smp", "1", "-m", fmt.Sprint(hostMemory),
		"-kernel", h.image.hypervisor(), "-initrd", strings.Join(modules, ","),
		"-append", fmt.Sprintf("console=com1 com1=115200,8n1 dom0_mem=%dM", dom0Memory),
		"-drive", "if=none,id=root,format=raw,snapshot=on,cache=unsafe,file=" + h.image.root(),
		"-device", "nvme,drive=root,serial=root",
		"-drive", "if=none,id=node,format=raw,file=" + h.file("node.ext4"),
		"-device", "nvme,drive=node,serial=node",
		"-netdev", "tap,id=net,script=no,downscript=no,ifname=" + h.Tap(),
		"-device", "virtio-net-pci,netdev=net,romfile=,mac=52:54:00:00:00:" + last(h.Address),
		"-device", "virtio-rng-pci",
		"-chardev", "file,id=console,append=on,path=" + h.file("console"), "-serial", "chardev:console",
		"-chardev", "file,id=guests,append=on,path=" + h.file("guests"), "-serial", "chardev:guests",
		"-qmp", "unix:" + h.file("qmp") + ",server=on,wait=off",
	}
}

// last returns the last part of an address, two digits.
func last(address string) string { return address[strings.LastIndexByte(address, '.')+1:] }

// Kill takes the host's power away, and returns when nothing of it runs.
func (h *Host) Kill() error {
	if h.qemu == nil {
		return nil
	}
	err := h.qemu.Process.Kill()
	var ended *exec.ExitError
	if failed := h.qemu.Wait(); !errors.As(failed, &ended) {
		err = errors.Join(err, failed)
	}
	h.qemu = nil
	return err
}

// Halt stops the host's processor by QEMU's own means: its clocks stand still with it. Resume lets it go on.
func (h *Host) Halt(ctx context.Context) error { return qmp.Call(ctx, h.file("qmp"), "stop", nil, nil) }

// Resume lets a host go on that was halted.
func (h *Host) Resume(ctx context.Context) error {
	return qmp.Call(ctx, h.file("qmp"), "cont", nil, nil)
}

// Freeze stops the host as a whole: its clocks jump when it is thawed.
func (h *Host) Freeze() error { return h.qemu.Process.Signal(syscall.SIGSTOP) }

// Thaw lets a host go on that was frozen.
func (h *Host) Thaw() error { return h.qemu.Process.Signal(syscall.SIGCONT) }

// Console returns what Xen, its dom0 and the node have written so far.
func (h *Host) Console() (string, error) { return textOf(h.file("console")) }

// Guests returns what the guests have written to their consoles so far.
func (h *Host) Guests() (string, error) { return textOf(h.file("guests")) }

func textOf(file string) (string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}
