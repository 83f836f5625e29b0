package devcluster

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/node/host"
)

// How often and how long processes are looked for until all of them are as wanted.
const (
	sweepPause    = 5 * time.Millisecond
	sweepPatience = 10 * time.Second
)

// processes returns every living process of a node: those that carry its mark and their
// descendants, which may have dropped it.
func (n Node) processes() ([]proc.ID, error) {
	marked, err := proc.FindEnv(host.EnvRunDir, n.RunDir)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	below, err := proc.Descendants(marked)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Name, err)
	}
	for _, id := range below {
		if !slices.Contains(marked, id) {
			marked = append(marked, id)
		}
	}
	return marked, nil
}

// freeze stops every process of a node. It looks again until none was missed, since a process may
// have started another before its own stop.
func (n Node) freeze() error {
	for deadline := time.Now().Add(sweepPatience); ; time.Sleep(sweepPause) {
		all, err := n.processes()
		if err != nil {
			return err
		}
		running := slices.DeleteFunc(all, proc.ID.Stopped)
		if len(running) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("node %s: %s does not stop", n.Name, running[0])
		}
		if err := proc.Signal(running, syscall.SIGSTOP); err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
}

// thaw lets every process of a node go on.
func (n Node) thaw() error {
	all, err := n.processes()
	if err != nil {
		return err
	}
	if err := proc.Signal(all, syscall.SIGCONT); err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	return nil
}

// powerOff ends every process of a node as if its machine lost power: nobody sees another die.
func (n Node) powerOff() error {
	if err := n.freeze(); err != nil {
		return err
	}
	for deadline := time.Now().Add(sweepPatience); ; time.Sleep(sweepPause) {
		all, err := n.processes()
		if err != nil || len(all) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("node %s: %s does not end after SIGKILL", n.Name, all[0])
		}
		if err := proc.Signal(all, syscall.SIGKILL); err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
	}
}

// down returns a node whose processes are all gone, and refuses any other.
func (c *Cluster) down(name string) (Node, error) {
	node, err := c.Node(name)
	if err != nil {
		return Node{}, err
	}
	all, err := node.processes()
	if err != nil {
		return Node{}, err
	}
	if len(all) > 0 {
		return Node{}, fmt.Errorf("node %s still runs (%s): kill it first", name, all[0])
	}
	return node, nil
}

// each does something for every node and joins what went wrong.
func (c *Cluster) each(do func(Node) error) error {
	var failed []error
	for _, n := range c.state.Nodes {
		failed = append(failed, do(n))
	}
	return errors.Join(failed...)
}
