package system

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/holdfast-storage/holdfast/tests/chaos"
)

// ending is the end of a fault.
type ending struct {
	at time.Duration
	do func()
}

// everything does the plan. What cannot be done when it is due, since something else is wrong, is left out and said.
func (r *chaosRun) everything() {
	r.t.Helper()
	r.begun = time.Now()
	var ends []ending
	for _, s := range r.plan {
		ends = r.endUntil(ends, s.At)
		r.await(s.At)
		r.at = fmt.Sprintf("step %d, %s", s.Number, s.What())
		end, err := r.begin(s)
		if err != nil {
			r.skipped++
			r.t.Logf("%6.1fs  step %d, %s, is left out: %v", time.Since(r.begun).Seconds(), s.Number, s.Fault, err)
			continue
		}
		r.t.Logf("%6.1fs  step %d: %s", time.Since(r.begun).Seconds(), s.Number, s.What())
		if end != nil {
			ends = append(ends, ending{s.At + s.For, end})
		}
	}
	r.await(r.length)
	r.endUntil(ends, never)
	r.at = "the calm after all steps"
	require.Lessf(r.t, r.skipped, len(r.plan)/2+1, "most of the plan could not be done")
}

const never = time.Duration(1<<63 - 1)

// endUntil ends the faults that are due at a time of the plan, the earliest first, each when it is due.
func (r *chaosRun) endUntil(ends []ending, at time.Duration) []ending {
	slices.SortStableFunc(ends, func(a, b ending) int { return int(a.at - b.at) })
	for len(ends) > 0 && ends[0].at <= at {
		if at != never {
			r.await(ends[0].at)
		}
		ends[0].do()
		ends = ends[1:]
	}
	return ends
}

func (r *chaosRun) await(at time.Duration) { <-time.After(time.Until(r.begun.Add(at))) }

// begin does what a step says and returns what ends it, nil if nothing has to.
func (r *chaosRun) begin(s chaos.Step) (end func(), err error) {
	node := s.Node
	switch s.Fault {
	case chaos.KillLeader, chaos.PauseLeader, chaos.CutLeader:
		if node, err = r.askLeader(); err != nil {
			return nil, err
		}
	}
	for _, n := range []string{node, s.Other} {
		if r.isAway(n) {
			return nil, fmt.Errorf("the machine of %s is being exchanged", n)
		}
	}
	dev := func(args ...string) error {
		_, err := r.try(20*time.Second, append(append([]string{"dev"}, args...), "--dir", r.dir)...)
		return err
	}
	switch s.Fault {
	case chaos.KillEngine:
		return nil, r.signalEngine(s.Volume, syscall.SIGKILL)
	case chaos.PauseEngine:
		return r.pauseEngine(s.Volume)
	case chaos.KillDaemon:
		return func() { r.startAgain(node) }, r.killChaosDaemon(node)
	case chaos.KillNode, chaos.KillLeader:
		return func() { r.startAgain(node) }, dev("kill", node)
	case chaos.PauseNode, chaos.PauseLeader:
		return func() { r.sure("resume", node) }, dev("pause", node)
	case chaos.CutPower:
		r.cutPowerOf(node)
		return func() { r.startAgain(node) }, nil
	case chaos.CutSite:
		nodes := r.presentNodes()
		r.cutPowerOf(nodes...)
		return func() { r.startAgain(nodes...) }, nil
	case chaos.CutLeader:
		return func() { r.sure("heal", node) }, dev("cut", node)
	case chaos.CutLink, chaos.CutOneWay:
		args := []string{"cut", node}
		if s.Other != "" {
			args = append(args, "--from", s.Other)
		}
		if s.Fault == chaos.CutOneWay {
			args = append(args, "--one-way")
		}
		return func() { r.sure("heal", node) }, dev(args...)
	case chaos.SlowLink:
		return func() { r.sure("heal", node) }, dev("impair", node, "--delay", s.Delay.String(),
			"--loss", fmt.Sprintf("%g%%", 100*s.Loss))
	case chaos.FillDisk:
		return func() { r.emptyDisk(node) }, r.fillDisk(node)
	case chaos.FailOver:
		r.background.Go(func() { r.order(time.Minute, "domain", "failover", s.Volume) })
		return nil, nil
	case chaos.Move, chaos.Detach:
		return nil, r.operators[s.Volume].ask(s)
	case chaos.ReplaceNode:
		return nil, r.replace(s)
	}
	return nil, fmt.Errorf("nobody knows how to do %q", s.Fault)
}

// order is something that an operator asks for, and which may be refused.
func (r *chaosRun) order(limit time.Duration, args ...string) {
	if _, err := r.try(limit, args...); err != nil {
		r.t.Logf("refused: %v", err)
	}
}

func (r *chaosRun) isAway(node string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away[node]
}

func (r *chaosRun) presentNodes() []string {
	var nodes []string
	for i := range chaosNodes {
		if n := fmt.Sprintf("n%d", i+1); !r.isAway(n) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

func (r *chaosRun) askLeader() (string, error) {
	out, err := r.try(5*time.Second, "node", "list", "-o", "json")
	if err != nil {
		return "", err
	}
	var nodes []nodeView
	if err := json.Unmarshal([]byte(out), &nodes); err != nil {
		return "", err
	}
	for _, n := range nodes {
		if n.Leader {
			return n.Name, nil
		}
	}
	return "", errors.New("nobody leads")
}

// startAgain starts nodes whatever else was done to them meanwhile.
func (r *chaosRun) startAgain(nodes ...string) {
	for _, n := range nodes {
		if !r.isAway(n) {
			r.sure("resume", n)
			r.sure("start", n, "--no-wait")
		}
	}
}

// signalOurs signals a process that belongs to this test.
func signalOurs(pid int, signal syscall.Signal) error {
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || !bytes.Contains(environ, []byte(rootEnv+"="+os.Getenv(rootEnv)+"\x00")) {
		return fmt.Errorf("process %d is gone", pid)
	}
	return syscall.Kill(pid, signal)
}

func (r *chaosRun) engineOf(volume string) (int, error) {
	out, err := r.try(5*time.Second, "volume", "show", volume, "-o", "json")
	if err != nil {
		return 0, err
	}
	var v volumeView
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		return 0, err
	}
	if v.Attachment == nil || v.Attachment.EnginePID == 0 {
		return 0, fmt.Errorf("volume %s has no engine now", volume)
	}
	return v.Attachment.EnginePID, nil
}

func (r *chaosRun) signalEngine(volume string, signal syscall.Signal) error {
	pid, err := r.engineOf(volume)
	if err != nil {
		return err
	}
	return signalOurs(pid, signal)
}

func (r *chaosRun) pauseEngine(volume string) (func(), error) {
	pid, err := r.engineOf(volume)
	if err != nil {
		return nil, err
	}
	// One that ended meanwhile needs no waking.
	return func() { _ = signalOurs(pid, syscall.SIGCONT) }, signalOurs(pid, syscall.SIGSTOP)
}

func (r *chaosRun) killChaosDaemon(node string) error {
	text, err := os.ReadFile(r.nodePath(node, "daemon.json"))
	if err != nil {
		return err
	}
	var id struct{ PID int }
	if err := json.Unmarshal(text, &id); err != nil {
		return err
	}
	return signalOurs(id.PID, syscall.SIGKILL)
}

// cutPowerOf is cutPower while other commands may be in the way.
func (r *chaosRun) cutPowerOf(nodes ...string) {
	r.t.Helper()
	for _, n := range nodes {
		r.sure("pause", n)
	}
	for _, n := range nodes {
		at, err := chaos.Now()
		require.NoError(r.t, err)
		r.powerCuts = append(r.powerCuts, chaos.PowerCut{Node: n, At: at})
		r.dropCache(n)
	}
	for _, n := range nodes {
		r.sure("kill", n)
		r.must("umount", r.nodePath(n, "disk"))
		r.newBoot(n)
		r.mount(n)
	}
}

func (r *chaosRun) filler(node string) string { return r.inside(r.nodePath(node, "disk", "filler")) }

// fillDisk takes all the room that is left on a node's disk.
func (r *chaosRun) fillDisk(node string) error {
	f, err := os.OpenFile(r.filler(node), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	at := int64(0)
	for step := int64(1 << 30); step >= 4096; {
		err := unix.Fallocate(int(f.Fd()), 0, at, step)
		switch {
		case err == nil:
			at += step
		case errors.Is(err, unix.ENOSPC):
			step /= 2
		default:
			return err
		}
	}
	return nil
}

func (r *chaosRun) emptyDisk(node string) {
	if err := os.Remove(r.filler(node)); err != nil && !errors.Is(err, os.ErrNotExist) && !r.isAway(node) {
		r.t.Errorf("%s: %v", node, err)
	}
}

// replace has a storage node replaced by the spare one. The old machine becomes the spare: a new one of its name.
func (r *chaosRun) replace(s chaos.Step) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Node == r.spare || r.replacing != "" {
		return fmt.Errorf("there is no spare node now, or %s is it", s.Node)
	}
	spare := r.spare
	r.replacing = s.Node
	r.background.Go(func() {
		if _, err := r.try(time.Minute, "node", "replace", s.Node, spare); err != nil {
			r.t.Logf("to be asked for again: %v", err)
			return
		}
		r.replaced()
	})
	return nil
}

// replaced makes the node that was replaced the spare one.
func (r *chaosRun) replaced() {
	r.exchange(r.replacing)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.t.Logf("%6.1fs  %s was replaced by %s and is the spare now", time.Since(r.begun).Seconds(), r.replacing, r.spare)
	delete(r.away, r.replacing)
	r.spare, r.replacing = r.replacing, ""
}

// exchange puts a new machine in the place of a node that has left the cluster.
func (r *chaosRun) exchange(node string) {
	r.mu.Lock()
	r.away[node] = true
	r.mu.Unlock()
	r.sure("kill", node)
	r.must("umount", r.nodePath(node, "disk"))
	require.NoError(r.t, os.RemoveAll(filepath.Join(r.nodePath(node), "disk")))
	r.sure("add", node, "--fresh", "--no-wait")
	r.sure("kill", node)
	r.moveToDisk(node)
	r.sure("start", node, "--no-wait")
}
