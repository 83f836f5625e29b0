package devnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// interfaceName is what a node sees of its network, beside its own loopback.
const interfaceName = "eth0"

// ErrUnable says that this process cannot make network namespaces or interfaces.
var ErrUnable = errors.New("a network of namespaces needs root and /dev/net/tun")

// Able returns ErrUnable, with the reason, where this process cannot make a network.
func Able() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: this is not root", ErrUnable)
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return fmt.Errorf("%w: %w", ErrUnable, err)
	}
	return nil
}

// inThread runs a function on a thread that may be moved to another namespace, since it ends with the function.
func inThread(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		done <- do()
	}()
	return <-done
}

// Enter runs a function in the network namespace that a file names: sockets that it opens and processes that it starts
// belong there. Goroutines that it starts do not.
func Enter(namespace string, do func() error) error {
	return inThread(func() error {
		f, err := os.Open(namespace)
		if err != nil {
			return fmt.Errorf("network namespace: %w", err)
		}
		defer f.Close()
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("network namespace %s: enter: %w", namespace, err)
		}
		return do()
	})
}

// plug is a network namespace with its interface, whose frames are read and written here.
type plug struct {
	namespace, frames *os.File
}

func (p plug) close() { _ = errors.Join(p.namespace.Close(), p.frames.Close()) }

// newPlug makes an interface in a new namespace, or in the one of a process that lives.
func newPlug(address netip.Prefix, process int) (plug, error) {
	var p plug
	err := inThread(func() error {
		if process == 0 {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("new network namespace: %w", err)
			}
			return p.open("/proc/thread-self/ns/net", address)
		}
		path := fmt.Sprintf("/proc/%d/ns/net", process)
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("network namespace of process %d: %w", process, err)
		}
		defer f.Close()
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("network namespace of process %d: enter: %w", process, err)
		}
		return p.open(path, address)
	})
	return p, err
}

// open opens the thread's namespace and makes the interface in it.
func (p *plug) open(namespace string, address netip.Prefix) (err error) {
	if p.namespace, err = os.Open(namespace); err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	if p.frames, err = newInterface(address); err != nil {
		return errors.Join(err, p.namespace.Close())
	}
	return nil
}

// newInterface makes the interface in the thread's namespace, and takes it and the loopback up.
func newInterface(address netip.Prefix) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	err = request(fd, unix.TUNSETIFF, interfaceName, func(r *unix.Ifreq) error {
		r.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		return nil
	})
	if err == nil {
		// The other end of each link is a kernel too: it does what this one leaves undone.
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4)
	}
	if err == nil {
		err = configure(address)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("network interface: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

func configure(address netip.Prefix) error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	if err := setMAC(socket, address.Addr()); err != nil {
		return err
	}
	ip := address.Addr().As4()
	mask := netip.PrefixFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), address.Bits()).Masked().Addr().As4()
	up := func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP); return nil }
	for _, step := range []struct {
		request uint
		name    string
		fill    func(*unix.Ifreq) error
	}{
		{unix.SIOCSIFFLAGS, "lo", up},
		{unix.SIOCSIFADDR, interfaceName, func(r *unix.Ifreq) error { return r.SetInet4Addr(ip[:]) }},
		{unix.SIOCSIFNETMASK, interfaceName, func(r *unix.Ifreq) error { return r.SetInet4Addr(mask[:]) }},
		{unix.SIOCSIFFLAGS, interfaceName, up},
	} {
		if err := request(socket, step.request, step.name, step.fill); err != nil {
			return fmt.Errorf("configure %s: %w", step.name, err)
		}
	}
	return nil
}

func request(fd int, number uint, name string, fill func(*unix.Ifreq) error) error {
	r, err := unix.NewIfreq(name)
	if err == nil {
		err = fill(r)
	}
	if err != nil {
		return err
	}
	return unix.IoctlIfreq(fd, number, r)
}

// setMAC gives the interface the address by which the switch knows it. x/sys has no call for it.
func setMAC(socket int, a netip.Addr) error {
	var r struct { // struct ifreq with its ifr_hwaddr
		name   [unix.IFNAMSIZ]byte
		family uint16
		mac    [14]byte
		_      [8]byte
	}
	copy(r.name[:], interfaceName)
	r.family = unix.ARPHRD_ETHER
	copy(r.mac[:], macOf(a))
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(socket), unix.SIOCSIFHWADDR, uintptr(unsafe.Pointer(&r)))
	if errno != 0 {
		return fmt.Errorf("hardware address of %s: %w", interfaceName, errno)
	}
	return nil
}
