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

// crowd is a set of processes that belong together, found anew each time since they start others.
type crowd struct {
	name string // for messages
	find func() ([]proc.ID, error)
}

// crowd returns the processes of a node: those that carry its mark and their descendants, which may
// have dropped it.
func (n Node) crowd() crowd {
	return crowd{"node " + n.Name, func() ([]proc.ID, error) { return proc.FindEnv(host.EnvRunDir, n.RunDir) }}
}

// crowdOf returns the processes of every node of the cluster that is or was in a directory.
func crowdOf(dir string) crowd {
	return crowd{"local cluster " + dir, func() ([]proc.ID, error) {
		var all []proc.ID
		for _, parent := range append(runBases(dir), dir) {
			found, err := proc.FindEnvBelow(host.EnvRunDir, parent)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
		return all, nil
	}}
}

// processes returns every living process of the crowd.
func (c crowd) processes() ([]proc.ID, error) {
	marked, err := c.find()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	below, err := proc.Descendants(marked)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	for _, id := range below {
		if !slices.Contains(marked, id) {
			marked = append(marked, id)
		}
	}
	return marked, nil
}

// freeze stops every process of the crowd. It looks again until none was missed, since a process may
// have started another before its own stop.
func (c crowd) freeze() error {
	for deadline := time.Now().Add(sweepPatience); ; time.Sleep(sweepPause) {
		all, err := c.processes()
		if err != nil {
			return err
		}
		running := slices.DeleteFunc(all, proc.ID.Stopped)
		if len(running) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %s does not stop", c.name, running[0])
		}
		if err := proc.Signal(running, syscall.SIGSTOP); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
}

// thaw lets every process of the crowd go on.
func (c crowd) thaw() error {
	all, err := c.processes()
	if err != nil {
		return err
	}
	if err := proc.Signal(all, syscall.SIGCONT); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

// powerOff ends every process of the crowd as if its machine lost power: nobody sees another die.
func (c crowd) powerOff() error {
	if err := c.freeze(); err != nil {
		return err
	}
	var killed []proc.ID // one on its way out has no environment any more that would show it
	for deadline := time.Now().Add(sweepPatience); ; time.Sleep(sweepPause) {
		all, err := c.processes()
		if err != nil {
			return err
		}
		for _, id := range all {
			if !slices.Contains(killed, id) {
				killed = append(killed, id)
			}
		}
		killed = slices.DeleteFunc(killed, func(id proc.ID) bool { return !id.Alive() })
		if len(killed) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %s does not end after SIGKILL", c.name, killed[0])
		}
		if err := proc.Signal(all, syscall.SIGKILL); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
}

// down returns a node whose processes are all gone, and refuses any other.
func (c *Cluster) down(name string) (Node, error) {
	node, err := c.Node(name)
	if err != nil {
		return Node{}, err
	}
	all, err := node.crowd().processes()
	if err != nil {
		return Node{}, err
	}
	if len(all) > 0 {
		return Node{}, fmt.Errorf("node %s still runs (%s): kill it first", name, all[0])
	}
	return node, nil
}

// each does something to the processes of every node and joins what went wrong.
func (c *Cluster) each(do func(crowd) error) error {
	var failed []error
	for _, n := range c.state.Nodes {
		failed = append(failed, do(n.crowd()))
	}
	return errors.Join(failed...)
}
