package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/node/devcluster"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// The cast of the demo.
const (
	volumeName = "disk"
	domainName = "guest"
	volumeSize = 256 << 20
	firstHost  = "h1"
	secondHost = "h2"
	keptNode   = "n1" // holds one leg throughout
	lostNode   = "n2" // holds the other leg until it dies
	freshNode  = "n4" // takes its place
	clusterDir = "c"  // in the demo's directory
)

// Options configure Run.
type Options struct {
	Out        io.Writer // the narration
	Executable string    // the holdfast binary; empty means this process's own
	TempDir    string    // where the cluster's directory is made; empty means the system's
	Keep       bool      // leave the cluster's directory (not its processes) for a look
	Guest      bool      // with Linux in a virtual machine as the guest, instead of a program
	Cache      string    // where what that Linux is made of is kept; empty means the user's cache
}

// act is one part of the show.
type act struct {
	title string
	play  func(context.Context) error
}

// Run does the demo. An error says what did not hold. Nothing of the cluster is left when it returns,
// also when ctx ended it early, and soon after this process was killed.
func Run(ctx context.Context, o Options) (err error) {
	ctx, cancel := context.WithCancel(ctx) // ends what still listens to the guest
	defer cancel()
	parts, err := machineParts(ctx, o) // before anything runs
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.TempDir, dirPrefix)
	if err != nil {
		return err
	}
	reaper, err := startReaper(o.Executable, dir, o.Keep)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer func() { err = errors.Join(err, reaper.end()) }()
	s := &show{narrator: narrator{out: o.Out, begin: time.Now()}, dir: dir, executable: o.Executable}
	defer func() { err = errors.Join(err, s.cleanUp(o.Keep)) }()
	acts := s.acts()
	if o.Guest {
		machine := &machineShow{show: s, parts: parts}
		defer machine.leave()
		acts = machine.acts()
	}
	for _, act := range acts {
		s.title(act.title)
		if err := act.play(ctx); err != nil {
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
			s.tailLogs()
			return fmt.Errorf("%s: %w", act.title, err)
		}
	}
	s.timings()
	return nil
}

// acts are the four daily jobs.
func (s *show) acts() []act {
	return []act{
		{"A cluster: n1, n2, n3 store and coordinate, h1 and h2 run guests", s.raise},
		{"Provision: a volume that is on two storage nodes at once", s.provision},
		{"A guest writes numbered records and flushes", s.startGuest},
		{"Fail over: the guest's host freezes in mid-air", s.failover},
		{"The frozen host wakes up: nothing of it may land", s.wake},
		{"Replace: a storage node dies and its disk is gone", s.replace},
		{"The proof: every flushed record, both copies, health", s.verify},
	}
}

// show is one run of the demo.
type show struct {
	narrator
	dir        string
	executable string
	cluster    *devcluster.Cluster
	client     *api.Client
	watcher    *logWatcher
	frozen     time.Time     // when the host was paused
	flushed    uint64        // what the guest had flushed when its host froze
	resumed    uint64        // where the clone began
	measured   []measurement // for the table
}

func (s *show) raise(ctx context.Context) error {
	storage := []raft.Role{raft.RoleCoordinator, raft.RoleStorage}
	host := []raft.Role{raft.RoleHost}
	c, err := devcluster.Create(devcluster.Options{Dir: filepath.Join(s.dir, clusterDir), Executable: s.executable},
		[]devcluster.NodeSpec{
			{Name: keptNode, Roles: storage}, {Name: lostNode, Roles: storage}, {Name: "n3", Roles: storage},
			{Name: firstHost, Roles: host}, {Name: secondHost, Roles: host},
		})
	if err != nil {
		return err
	}
	s.cluster = c
	began := time.Now()
	if err := c.Up(ctx); err != nil {
		return err
	}
	s.measure("cluster of five nodes up", time.Since(began))
	s.client, err = api.NewClient(api.ClientOptions{Endpoints: c.API()})
	return err
}

func (s *show) provision(ctx context.Context) error {
	began := time.Now()
	v, err := s.client.CreateVolume(ctx, api.CreateVolume{
		Name: volumeName, SizeBytes: volumeSize, Layout: "mirror=2", LegsOn: []string{keptNode, lostNode},
	})
	if err != nil {
		return err
	}
	s.measure("provision", time.Since(began))
	s.say("volume %s: %s, %s, legs on %s and %s", v.Name, volume.FormatSize(v.SizeBytes), v.Layout,
		v.Legs[0].Node, v.Legs[1].Node)
	return nil
}

func (s *show) startGuest(ctx context.Context) error {
	program := s.executable
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return err
		}
	}
	log := filepath.Join(s.dir, "guest.log")
	s.watcher = &logWatcher{path: log}
	_, err := s.client.DefineDomain(ctx, api.DomainSpec{
		Name: domainName, Driver: "exec", Volumes: []api.DomainVolume{{Name: volumeName}},
		Hosts: []string{firstHost, secondHost},
		Exec: &api.ExecSpec{Command: []string{program, "demo", "guest", "--log", log,
			"--url", "$HOLDFAST_VOLUME_DISK_URL", "--epoch", "$HOLDFAST_EPOCH"}},
	})
	if err != nil {
		return err
	}
	began := time.Now()
	d, err := s.client.StartDomain(ctx, domainName, api.Wait{})
	if err != nil {
		return err
	}
	if _, err := s.watcher.await(ctx, "the guest's first flush",
		func(l LogLine) bool { return l.Event == "flushed" }); err != nil {
		return err
	}
	s.measure("attach and start the guest", time.Since(began))
	s.say("domain %s runs on %s (pid %d)", d.Name, d.Host, d.PID)
	line, err := s.watcher.await(ctx, "a few hundred records",
		func(l LogLine) bool { return l.Event == "flushed" && l.Next >= 300 })
	if err != nil {
		return err
	}
	s.say("%d records written and flushed", line.Next)
	return nil
}

// cleanUp ends every process of the cluster and removes its files.
func (s *show) cleanUp(keep bool) error {
	if s.client != nil {
		s.client.Close()
	}
	var err error
	if s.cluster != nil {
		err = s.cluster.Down(!keep)
		s.cluster.Close()
	}
	if keep {
		s.say("the cluster's files are left in %s", s.dir)
		return err
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
