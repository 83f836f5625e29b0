package devcluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/node/host"
)

// stopGrace is how long a daemon may take to end after SIGTERM.
const stopGrace = 10 * time.Second

// Up starts every daemon that does not run and returns when the cluster is healthy: a coordinator
// leads and every node is up (or waits to replace another). A node that has left the cluster is not
// taken in again: its daemon is ended, and Left names it. A cluster that has just been made also is at
// the latest cluster version: before, it would refuse what the release is able to do. It may block as
// long as ctx allows.
func (c *Cluster) Up(ctx context.Context) error {
	fresh := !slices.ContainsFunc(c.state.Nodes, func(n Node) bool { return n.Joined })
	if err := c.mendNetwork(); err != nil {
		return err
	}
	for _, n := range c.state.Nodes {
		if err := c.launch(n); err != nil {
			return err
		}
	}
	if err := c.awaitHealthy(ctx, c.state.Nodes); err != nil {
		return err
	}
	if fresh {
		if err := c.await(ctx, c.state.Nodes, behindVersion); err != nil {
			return err
		}
	}
	for _, name := range c.Left() {
		if err := c.Stop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// Start starts a node's daemon if it does not run, and returns when the cluster sees it.
func (c *Cluster) Start(ctx context.Context, name string) error {
	node, err := c.Node(name)
	if err != nil {
		return err
	}
	if err := c.launch(node); err != nil {
		return err
	}
	if err := c.awaitHealthy(ctx, []Node{node}); err != nil {
		return err
	}
	if c.left[node.ID] {
		return errors.Join(fmt.Errorf("node %s has left the cluster, which does not take it in again: "+
			"`holdfast dev add %s --fresh` makes a new machine of it", name, name), c.Stop(ctx, name))
	}
	return nil
}

// Launch starts a node's daemon if it does not run, and waits for nothing: before a majority of the
// coordinators runs, nobody can see the node.
func (c *Cluster) Launch(name string) error {
	node, err := c.Node(name)
	if err != nil {
		return err
	}
	return c.launch(node)
}

// Stop ends a node's daemon gracefully. Its engines and guests go on, as in an upgrade.
func (c *Cluster) Stop(ctx context.Context, name string) error {
	node, err := c.Node(name)
	if err != nil {
		return err
	}
	daemon, err := c.daemon(node)
	if errors.Is(err, proc.ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	handle, err := proc.Open(daemon)
	if errors.Is(err, proc.ErrGone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("node %s: %w", name, err)
	}
	defer handle.Close()
	if err := handle.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, proc.ErrGone) {
		return fmt.Errorf("node %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	if err := handle.Wait(ctx); err != nil {
		return fmt.Errorf("node %s: its daemon (%s) has not ended after SIGTERM (see %s): %w",
			name, daemon, c.LogFile(name), err)
	}
	return nil
}

// Kill ends all processes of a node at once, as if its machine lost power. On a network of its own not even the end
// of its connections is seen.
func (c *Cluster) Kill(name string) error {
	node, err := c.Node(name)
	if err != nil {
		return err
	}
	if err := c.turnOff(node); err != nil {
		return err
	}
	return node.crowd().powerOff()
}

// Pause stops all processes of a node with SIGSTOP: a machine that hangs.
func (c *Cluster) Pause(name string) error { return c.with(name, crowd.freeze) }

// Resume lets a paused node go on where it was.
func (c *Cluster) Resume(name string) error { return c.with(name, crowd.thaw) }

func (c *Cluster) with(name string, do func(crowd) error) error {
	node, err := c.Node(name)
	if err != nil {
		return err
	}
	return do(node.crowd())
}

// Down ends every process of the cluster and makes sure that none is left. With remove it also
// removes the cluster's directory; else Up starts the same cluster again, with every link open.
func (c *Cluster) Down(remove bool) error {
	// A node's guest may not see another node's death: all stand still before the first is killed.
	if err := c.each(crowd.freeze); err != nil {
		return err
	}
	if err := c.each(crowd.powerOff); err != nil {
		return err
	}
	if c.Network() == Namespaces {
		if err := c.switchCrowd().powerOff(); err != nil {
			return err
		}
		if err := os.Remove(c.switchLinks()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("local cluster: %w", err)
		}
	}
	c.reaped.Wait()
	if err := removeBases(c.state.RunBase); err != nil || !remove {
		return err
	}
	return errors.Join(c.removeFiles(), removeBases(c.state.MemoryBase))
}

// Sweep ends every process of a cluster whose directory was removed under it. Where none runs it does
// nothing; it touches no cluster that is there.
func Sweep(dir string) error {
	o := Options{Dir: dir}
	if err := o.complete(); err != nil {
		return err
	}
	if _, err := os.Stat(statePath(o.Dir)); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s holds a cluster: `holdfast dev down --dir %s` ends it", o.Dir, o.Dir), err)
	}
	if err := crowdOf(o.Dir).powerOff(); err != nil {
		return err
	}
	return removeBases(append(runBases(o.Dir), memoryBase(o.Dir))...)
}

// removeBases removes directories outside the cluster's own; an empty name is none.
func removeBases(bases ...string) error {
	for _, base := range bases {
		if _, err := os.Lstat(base); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.RemoveAll(base); err != nil {
			return fmt.Errorf("local cluster: %w", err)
		}
	}
	return nil
}

// removeFiles removes the cluster's directory with all that is in it.
func (c *Cluster) removeFiles() error {
	if err := os.RemoveAll(c.options.Dir); err != nil {
		return fmt.Errorf("local cluster: %w", err)
	}
	return nil
}

// launch starts a node's daemon unless it runs.
func (c *Cluster) launch(n Node) error {
	if daemon, err := c.daemon(n); err == nil {
		if daemon.Stopped() {
			return fmt.Errorf("node %s is paused: `holdfast dev resume %s --dir %s` first", n.Name, n.Name, c.Dir())
		}
		return nil
	} else if !errors.Is(err, proc.ErrGone) {
		return err
	}
	if err := makeBase(c.state.RunBase); err != nil {
		return err
	}
	if err := os.MkdirAll(n.RunDir, 0o700); err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	log, err := os.OpenFile(c.LogFile(n.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(c.options.Executable, "serve", "--config", c.configFile(n.Name))
	cmd.Args[0] = "holdfast"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), host.EnvRunDir+"="+n.RunDir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.inNetwork(n, cmd.Start); err != nil {
		return fmt.Errorf("node %s: start its daemon: %w", n.Name, err)
	}
	c.options.Logger.Info("daemon started", "node", n.Name, "pid", cmd.Process.Pid)
	id, err := proc.Identify(cmd.Process.Pid)
	if err == nil {
		err = c.noteDaemon(n, id)
	}
	c.reaped.Go(func() { _ = cmd.Wait() }) // how it ended stands in its log
	return err
}

func (c *Cluster) daemonFile(n Node) string { return c.path(n.Name, "daemon.json") }

func (c *Cluster) noteDaemon(n Node, id proc.ID) error {
	text, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("node %s: %w", n.Name, err)
	}
	return durable.WriteFile(c.daemonFile(n), text, 0o600)
}

// daemon returns the node's running daemon; proc.ErrGone means that there is none.
func (c *Cluster) daemon(n Node) (proc.ID, error) {
	text, err := os.ReadFile(c.daemonFile(n))
	if errors.Is(err, fs.ErrNotExist) {
		return proc.ID{}, proc.ErrGone
	}
	if err != nil {
		return proc.ID{}, fmt.Errorf("node %s: %w", n.Name, err)
	}
	var id proc.ID
	if err := json.Unmarshal(text, &id); err != nil {
		return proc.ID{}, fmt.Errorf("node %s: %s is damaged: %w", n.Name, c.daemonFile(n), err)
	}
	if !id.Alive() {
		return proc.ID{}, fmt.Errorf("node %s: %w", n.Name, proc.ErrGone)
	}
	return id, nil
}
