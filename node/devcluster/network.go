package devcluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/node/config"
	"github.com/holdfast-storage/holdfast/node/devnet"
	"github.com/holdfast-storage/holdfast/node/host"
	"github.com/holdfast-storage/holdfast/raft"
)

// Network is what the nodes of a local cluster reach each other by. It is chosen when the cluster is made.
type Network string

// The networks.
const (
	// Loopback is the machine's own, for everybody: ports that were free.
	Loopback Network = "loopback"
	// Namespaces is a network namespace for each node and a switch between them, which can cut, delay and lose.
	// It needs root.
	Namespaces Network = "netns"
)

// The ports of a node that has an address of its own.
const (
	portISCSI = 3260
	portAPI   = 7443
	portRaft  = 7444
)

// switchName names the switch's files in the cluster's directory.
const switchName = "switch"

// ErrLoopback says that a cluster has no network on which something could be cut.
var ErrLoopback = errors.New("the local cluster is on loopback: nothing there can be cut; " +
	"make one with `holdfast dev up --network netns`")

// ParseNetwork reads the name of a network; the empty text is Loopback.
func ParseNetwork(text string) (Network, error) {
	switch n := Network(text); n {
	case "":
		return Loopback, nil
	case Loopback, Namespaces:
		return n, nil
	}
	return "", fmt.Errorf("network %q is unknown (%s, %s)", text, Loopback, Namespaces)
}

// Network returns what the nodes reach each other by.
func (c *Cluster) Network() Network {
	if c.state.Network == "" { // made by a version that knew only this one
		return Loopback
	}
	return c.state.Network
}

// address is a node's own, in a cluster of namespaces.
func address(index int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 0, byte(index + 1)}) }

// networks are what a node's configuration says of its network. The switch carries nobody's frames but the nodes', so
// that network is good for storage.
func (c *Cluster) networks() config.Networks {
	if c.Network() == Loopback {
		return config.Networks{}
	}
	return config.Networks{Storage: netip.PrefixFrom(address(0), devnet.NetworkBits).Masked().String()}
}

// listen chooses what the node with this index listens on.
func (c *Cluster) listen(index int, roles []raft.Role) (config.Listen, error) {
	var at []string
	if c.Network() == Namespaces {
		for _, port := range []uint16{portAPI, portRaft, portISCSI} {
			at = append(at, netip.AddrPortFrom(address(index), port).String())
		}
	} else {
		var err error
		if at, err = freePorts(3, c.addresses(), listenTCP); err != nil {
			return config.Listen{}, err
		}
	}
	l := config.Listen{API: at[0]}
	if slices.Contains(roles, raft.RoleCoordinator) {
		l.Raft = at[1]
	}
	if slices.Contains(roles, raft.RoleStorage) {
		l.ISCSI = at[2]
	}
	return l, nil
}

// inNetwork runs a function, which starts a process, where a node's network is.
func (c *Cluster) inNetwork(n Node, do func() error) error {
	if c.Network() == Loopback {
		return do()
	}
	client, err := c.runningSwitch()
	if err != nil {
		return err
	}
	defer client.Close()
	namespace, err := c.turnOn(client, n)
	if err != nil {
		return err
	}
	return devnet.Enter(namespace, do)
}

// turnOn gives a node its port, in the namespace of its processes if some live.
func (c *Cluster) turnOn(client *devnet.Client, n Node) (namespace string, err error) {
	alive, err := n.crowd().processes()
	if err != nil {
		return "", err
	}
	process := 0
	if len(alive) > 0 {
		process = alive[0].PID
	}
	return client.On(n.Name, address(c.state.find(n.Name)), process)
}

// turnOff takes a node off its network, so that nobody there sees its processes die.
func (c *Cluster) turnOff(n Node) error {
	if c.Network() == Loopback {
		return nil
	}
	client, err := devnet.Dial(c.switchSocket())
	if err != nil {
		return nil // without a switch it is off already
	}
	defer client.Close()
	return client.Off(n.Name)
}

// mendNetwork starts the switch if it does not run: nodes that went on without it hear each other again.
func (c *Cluster) mendNetwork() error {
	if c.Network() == Loopback {
		return nil
	}
	return c.withSwitch(func(*devnet.Client) error { return nil })
}

// withSwitch does something to the network of a cluster that has one of its own.
func (c *Cluster) withSwitch(do func(*devnet.Client) error) error {
	if c.Network() == Loopback {
		return ErrLoopback
	}
	client, err := c.runningSwitch()
	if err != nil {
		return err
	}
	defer client.Close()
	return do(client)
}

func (c *Cluster) switchSocket() string { return c.path(switchName + ".sock") }

// switchLinks is where the switch remembers what its links do, for one that takes its place when it was killed.
func (c *Cluster) switchLinks() string { return c.path(switchName + ".json") }

// switchCrowd finds the switch's process as nodes' processes are found.
func (c *Cluster) switchCrowd() crowd {
	return crowd{"the network's switch", func() ([]proc.ID, error) {
		return proc.FindEnv(host.EnvRunDir, c.path(switchName))
	}}
}

// runningSwitch connects to the switch, which is started if it does not run. One that is started anew finds the
// namespaces of those nodes that live, and what was cut before.
func (c *Cluster) runningSwitch() (*devnet.Client, error) {
	if client, err := devnet.Dial(c.switchSocket()); err == nil {
		if _, _, err = client.Show(); err == nil {
			return client, nil
		}
		client.Close() // it is about to end
	}
	if err := c.switchCrowd().powerOff(); err != nil { // its interfaces are in the way of others
		return nil, err
	}
	client, err := c.startSwitch()
	if err != nil {
		return nil, err
	}
	for _, n := range c.state.Nodes {
		alive, err := n.crowd().processes()
		if err == nil && len(alive) > 0 {
			_, err = c.turnOn(client, n)
		}
		if err != nil {
			client.Close()
			return nil, err
		}
	}
	return client, nil
}

func (c *Cluster) startSwitch() (*devnet.Client, error) {
	if err := devnet.Able(); err != nil {
		return nil, err
	}
	logFile := c.path(switchName + ".log")
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(c.options.Executable, "dev", "switch", "--dir", c.Dir())
	cmd.Args[0] = "holdfast"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), host.EnvRunDir+"="+c.path(switchName))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("network: start its switch: %w", err)
	}
	ended := make(chan error, 1)
	c.reaped.Go(func() { ended <- cmd.Wait() })
	for deadline := time.After(sweepPatience); ; {
		client, err := devnet.Dial(c.switchSocket())
		if err == nil {
			return client, nil
		}
		select {
		case err := <-ended:
			return nil, fmt.Errorf("network: its switch ended (see %s): %w", logFile, errors.Join(errEnded, err))
		case <-deadline:
			return nil, fmt.Errorf("%w (see %s)", err, logFile)
		case <-time.After(sweepPause):
		}
	}
}

var errEnded = errors.New("before it answered")

// RunSwitch is the switch's process, `holdfast dev switch`: it carries the frames of the cluster in a directory until
// ctx ends.
func RunSwitch(ctx context.Context, dir string) error {
	o := Options{Dir: dir}
	if err := o.complete(); err != nil {
		return err
	}
	s := devnet.NewSwitch()
	defer s.Close()
	c := Cluster{options: o}
	if err := s.KeepIn(c.switchLinks()); err != nil {
		return err
	}
	return devnet.Serve(ctx, s, c.switchSocket())
}
