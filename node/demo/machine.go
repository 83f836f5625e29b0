package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/tests/linuxguest"
)

// machinePatience is how long the demo waits for the guest: it boots in emulation.
const machinePatience = 3 * time.Minute

// machineStop is how long the guest has to heed its power button.
const machineStop = 60

// machineShow is the demo with Linux in a virtual machine as the guest.
type machineShow struct {
	*show
	parts linuxguest.Parts
	seat  *seat     // at the guest's console; nil before it was started
	died  time.Time // when the guest's host lost its power
	kept  uint64    // the last number that the guest had reported by then
}

// machineParts returns what the guest is made of, or says what is missing on this machine.
func machineParts(ctx context.Context, o Options) (linuxguest.Parts, error) {
	if !o.Guest {
		return linuxguest.Parts{}, nil
	}
	for _, needed := range [][2]string{{"qemu-system-x86_64", "qemu-system-x86"}, {"mke2fs", "e2fsprogs"},
		{"e2fsck", "e2fsprogs"}} {
		if _, err := exec.LookPath(needed[0]); err != nil {
			return linuxguest.Parts{}, fmt.Errorf("the demo's guest needs %s, which is not here: apt install %s",
				needed[0], needed[1])
		}
	}
	if o.Cache == "" {
		var err error
		if o.Cache, err = linuxguest.CacheDir(); err != nil {
			return linuxguest.Parts{}, err
		}
	}
	if _, ok := linuxguest.Cached(o.Cache); !ok {
		fmt.Fprintf(o.Out, "Debian's kernel and busybox, 30 MB, are fetched once from apt's mirrors into %s\n", o.Cache)
	}
	return linuxguest.Fetch(ctx, o.Cache)
}

// leave gives the place at the console up, if it was taken. It must come before the cluster is taken down.
func (m *machineShow) leave() {
	if m.seat != nil {
		m.seat.leave()
	}
}

func (m *machineShow) acts() []act {
	return []act{
		{"A cluster: n1, n2, n3 store and coordinate, h1 and h2 run guests", m.raise},
		{"Provision: a volume with an ext4 file system, on two storage nodes at once", m.install},
		{"Linux boots from it on h1, and counts in a file with fsync", m.boot},
		{"The host loses its power", m.loseHost},
		{"The host is back, and somebody sits at the guest's console", m.returnHost},
		{"The proof: both copies, a clean file system, health", m.verify},
	}
}

// install makes the guest's root, and writes it to a new volume.
func (m *machineShow) install(ctx context.Context) error {
	if err := m.provision(ctx); err != nil {
		return err
	}
	root := filepath.Join(m.dir, "root.ext4")
	if err := m.parts.Root(ctx, root, volumeSize); err != nil {
		return err
	}
	if err := m.parts.Initrd(ctx, m.initrd()); err != nil {
		return err
	}
	a, err := m.client.AttachVolume(ctx, volumeName, api.AttachVolume{Host: firstHost})
	if err != nil {
		return err
	}
	written, err := writeImage(ctx, root, a.Exports[0].URL)
	if err != nil {
		return err
	}
	m.say("its root is written: %d MB of ext4, with Debian's busybox", written/1e6)
	return m.client.DetachVolume(ctx, volumeName, api.Wait{})
}

func (m *machineShow) initrd() string { return filepath.Join(m.dir, "initrd") }

// writeImage writes what an image has, which is not its holes, to an export, and returns how many bytes that were.
func writeImage(ctx context.Context, image, url string) (written int64, err error) {
	f, err := os.Open(image)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	d, err := openExport(ctx, url)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	const chunk = 256 << 10
	buf, empty := make([]byte, chunk), make([]byte, chunk)
	for off := int64(0); ; off += chunk {
		n, err := f.ReadAt(buf, off)
		if n > 0 && string(buf[:n]) != string(empty[:n]) {
			if err := d.Write(ctx, buf[:n], off, 0); err != nil {
				return written, err
			}
			written += int64(n)
		}
		if errors.Is(err, io.EOF) {
			return written, d.Flush(ctx)
		}
		if err != nil {
			return written, err
		}
	}
}

// boot starts the guest.
func (m *machineShow) boot(ctx context.Context) error {
	settings, err := json.Marshal(map[string]string{"accelerator": "tcg", "cpu": "max,-cx16"})
	if err != nil {
		return err
	}
	if _, err := m.client.DefineDomain(ctx, api.DomainSpec{
		Name: domainName, Driver: domain.DriverQEMU, Settings: settings, Hosts: []string{firstHost, secondHost},
		Volumes: []api.DomainVolume{{Name: volumeName, Device: "vda"}},
		Machine: guest.Machine{MemoryBytes: linuxguest.Memory, Boot: &guest.Boot{Kernel: m.parts.Kernel(),
			Initrd: m.initrd(), CommandLine: linuxguest.CommandLine}},
		Policy: guest.Policy{StopSeconds: machineStop},
	}); err != nil {
		return err
	}
	began := time.Now()
	d, err := m.client.StartDomain(ctx, domainName, api.Wait{})
	if err != nil {
		return err
	}
	m.say("domain %s runs on %s (QEMU, pid %d)", d.Name, d.Host, d.PID)
	m.seat = takeSeat(ctx, m.client)
	n, err := m.seat.await(ctx, firstHost, "the guest to count to ten", func(n uint64) bool { return n >= 10 })
	if err != nil {
		return err
	}
	m.measure("the guest's start → it has counted to ten", time.Since(began))
	m.say("its console says: guest: synced %d", n)
	return nil
}

// loseHost kills everything on the guest's host. The cluster finds out by itself.
func (m *machineShow) loseHost(ctx context.Context) error {
	if err := m.cluster.Kill(firstHost); err != nil {
		return err
	}
	m.died = time.Now()
	m.kept = m.seat.last()
	m.say("%s is dead (SIGKILL); the guest had reported %d", firstHost, m.kept)
	n, err := m.seat.await(ctx, secondHost, "the guest to count on", func(uint64) bool { return true })
	if err != nil {
		return err
	}
	m.measure("host's death → the guest has booted and counts on", time.Since(m.died))
	if n <= m.kept {
		return fmt.Errorf("the guest had reported %d as synced, and on %s it reports %d: acknowledged data is lost",
			m.kept, secondHost, n)
	}
	m.say("the guest has booted on %s, replayed its journal, and goes on: guest: synced %d", secondHost, n)
	return nil
}

// returnHost starts the host again, and types into the guest's shell.
func (m *machineShow) returnHost(ctx context.Context) error {
	if err := m.cluster.Start(ctx, firstHost); err != nil {
		return err
	}
	m.say("%s runs again; the guest stays where it is", firstHost)
	answer, err := m.seat.ask(ctx, m.client, "uname -sr")
	if err != nil {
		return err
	}
	m.say("$ holdfast domain console %s", domainName)
	m.say("guest# uname -sr")
	m.say("%s", answer)
	return nil
}

// verify presses the guest's power button, and looks at what it leaves behind, on each leg's own disk.
func (m *machineShow) verify(ctx context.Context) error {
	began := time.Now()
	if _, err := m.client.StopDomain(ctx, domainName, api.Wait{}); err != nil {
		return err
	}
	m.measure("power button → the guest is off, its volume detached", time.Since(began))
	m.say("the guest was stopped by its power button; it had counted to %d", m.seat.last())
	v, err := m.awaitVolume(ctx, "the detach", func(v api.Volume) bool { return v.Attachment == nil })
	if err != nil {
		return err
	}
	if err := m.compareLegs(v); err != nil {
		return err
	}
	for _, l := range v.Legs {
		out, err := exec.CommandContext(ctx, "e2fsck", "-f", "-n", m.cluster.LegData(l.Node, l.ID)).CombinedOutput()
		if err == nil && strings.Contains(string(out), "journal recovery") { // says e2fsck, and that all is well
			err = errors.New("the guest did not unmount it in order")
		}
		if err != nil {
			return fmt.Errorf("e2fsck of the leg on %s: %w: %s", l.Node, err, strings.TrimSpace(string(out)))
		}
		m.say("e2fsck of the leg on %s: the file system is clean", l.Node)
	}
	return m.awaitHealthy(ctx)
}
