package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-storage/holdfast/tests/bench/compare"
)

// quorum is QEMU's quorum driver, which writes to two iSCSI legs that tgt serves and reads from the first, behind
// QEMU's storage daemon.
type quorum struct {
	server    compare.Server
	processes []*exec.Cmd
}

// patience is how long the servers may take to be there.
const patience = time.Minute

func raiseQuorum(ctx context.Context, dir string) (q *quorum, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	started := &quorum{}
	defer func() {
		if err != nil {
			started.down()
		}
	}()
	q = started
	args := []string{}
	for i := range 2 {
		leg, err := q.leg(ctx, dir, i)
		if err != nil {
			return nil, err
		}
		args = append(args, "--blockdev", leg)
	}
	socket := filepath.Join(dir, "quorum.sock")
	args = append(args, "--blockdev", "driver=quorum,node-name=q,children.0=leg0,children.1=leg1,vote-threshold=1,"+
		"read-pattern=fifo", "--nbd-server", "addr.type=unix,addr.path="+socket,
		"--export", "type=nbd,id=e,node-name=q,name=q,writable=on")
	if err := q.start(filepath.Join(dir, "quorum.log"), "qemu-storage-daemon", args...); err != nil {
		return nil, err
	}
	if err := answers(ctx, "unix", socket); err != nil {
		return nil, err
	}
	q.server.Name, q.server.URL = "quorum", "nbd+unix:///q?socket="+socket
	return q, nil
}

// leg starts a target of one file and returns the block device that reaches it.
func (q *quorum) leg(ctx context.Context, dir string, i int) (string, error) {
	file := filepath.Join(dir, fmt.Sprintf("leg%d.img", i))
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	if err := errors.Join(f.Truncate(volumeBytes), f.Close()); err != nil {
		return "", err
	}
	portal, err := freePort()
	if err != nil {
		return "", err
	}
	// The control port is the name of a socket that all of the machine's tgtd share; it is a signed number of 16 bits.
	control := fmt.Sprint(100 + os.Getpid()%16000*2 + i)
	log := filepath.Join(dir, fmt.Sprintf("tgt%d.log", i))
	if err := q.start(log, "tgtd", "-f", "--iscsi", "portal="+portal, "-C", control); err != nil {
		return "", err
	}
	if err := answers(ctx, "tcp", portal); err != nil {
		return "", err
	}
	name := fmt.Sprintf("iqn.2026-11.example:leg%d", i)
	for _, args := range []string{
		"--mode target --op new --tid 1 -T " + name,
		"--mode logicalunit --op new --tid 1 --lun 1 -b " + file,
		"--mode target --op bind --tid 1 -I ALL",
	} {
		full := append([]string{"-C", control, "--lld", "iscsi"}, strings.Fields(args)...)
		if out, err := exec.CommandContext(ctx, "tgtadm", full...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("tgtadm %s: %w: %s", args, err, out)
		}
	}
	return fmt.Sprintf("driver=iscsi,node-name=leg%d,transport=tcp,portal=%s,target=%s,lun=1,"+
		"initiator-name=iqn.2026-11.example:host", i, portal, name), nil
}

// start starts a server that ends with this process.
func (q *quorum) start(log, program string, args ...string) error {
	out, err := os.Create(log)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s (scripts/bench setup installs it): %w", program, err)
	}
	q.processes = append(q.processes, cmd)
	q.server.PIDs = append(q.server.PIDs, cmd.Process.Pid)
	return nil
}

// down ends the servers; tgtd ignores TERM.
func (q *quorum) down() {
	for _, p := range q.processes {
		_ = p.Process.Kill() // it may have ended
		_ = p.Wait()         // "killed" is no news
	}
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// answers waits until somebody accepts connections.
func answers(ctx context.Context, network, address string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.Dial(network, address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nobody answers on %s: %w", address, err)
		case <-tick.C:
		}
	}
}
