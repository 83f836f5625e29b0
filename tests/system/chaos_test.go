package system

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/devnet"
	"github.com/holdfast-storage/holdfast/tests/chaos"
)

// chaosEnv says for how many minutes things go wrong, chaosKeepEnv where a run that failed leaves its histories and
// logs (default: a new directory under the temporary one).
const (
	chaosEnv     = "HOLDFAST_CHAOS_MINUTES"
	chaosKeepEnv = "HOLDFAST_CHAOS_KEEP"
)

// chaosNodes are n1 to n3, which coordinate and hold legs, n4 and n5, which run guests, and n6, which waits to replace
// a storage node.
const chaosNodes = 6

// firstSpare has no legs in the beginning.
const firstSpare = "n6"

// chaosVolume is a volume with a writer.
type chaosVolume struct {
	name, layout, durability, legs string
	hosts                          []string
	manual                         bool // an operator attaches it; else it is a domain's of the same name
}

func chaosVolumes() []chaosVolume {
	return []chaosVolume{
		{name: "a", layout: "mirror=2", durability: "flush", legs: "n1,n2", hosts: []string{"n4", "n5"}},
		{name: "b", layout: "mirror=2", durability: "flush", legs: "n2,n3", hosts: []string{"n5", "n4"}},
		{name: "c", layout: "mirror=3", durability: "flush", legs: "n1,n2,n3", hosts: []string{"n4", "n5"}},
		{name: "d", layout: "mirror=2", durability: "flush", legs: "n1,n3", hosts: []string{"n5", "n4"}, manual: true},
		{name: "e", layout: "mirror=2", durability: "sync", legs: "n3,n4", hosts: []string{"n5", "n4"}},
	}
}

// chaosBlocks is how many blocks each writer uses.
const chaosBlocks = 48

// TestChaos lets everything that can go wrong go wrong, several things at once, as a seed says, while a writer on every
// volume writes down what it was answered. Then all is mended, the cluster has to become healthy by itself, and the
// books are judged (package chaos). `./scripts/chaos` runs it.
func TestChaos(t *testing.T) {
	text := os.Getenv(chaosEnv)
	if text == "" {
		t.Skip("./scripts/chaos runs it")
	}
	minutes, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err, chaosEnv)
	if err := devnet.Able(); err != nil {
		t.Skip(err)
	}
	r := startChaos(t, drawSeed(t), time.Duration(minutes*float64(time.Minute)))
	r.t.Logf("the plan:")
	for _, s := range r.plan {
		r.t.Log(s)
	}
	r.background.Go(r.noteEvents)
	r.everything()
	r.calm()
	r.readBack()
	r.compareLegs()
	r.judge()
}

// chaosRun is a site under chaos.
type chaosRun struct {
	*site
	seed      uint64
	length    time.Duration
	plan      []chaos.Step
	begun     time.Time
	at        string // which step is being done, for messages
	writer    string // the writers' program
	operators map[string]*chaosOperator
	powerCuts []chaos.PowerCut
	skipped   int

	background sync.WaitGroup // what an operator asked for and waits for
	calmed     atomic.Bool
	life       context.Context

	mu        sync.Mutex
	events    map[uint64]chaosEvent
	spare     string          // the node without legs
	replacing string          // the node that it replaces, empty if none
	away      map[string]bool // nodes whose machine is being exchanged
}

func startChaos(t *testing.T, seed uint64, length time.Duration) *chaosRun {
	t.Helper()
	r := &chaosRun{site: upSite(t, chaosNodes, "--network", "netns"), seed: seed, length: length, spare: firstSpare,
		operators: map[string]*chaosOperator{}, events: map[uint64]chaosEvent{}, away: map[string]bool{}}
	var quit context.CancelFunc
	r.life, quit = context.WithCancel(context.Background())
	t.Cleanup(func() {
		quit()
		r.background.Wait()
		if t.Failed() {
			r.keep()
		}
	})
	r.writer = filepath.Join(r.dir, "writer")
	build := run(t, 5*time.Minute, nil, "go", "build", "-o", r.writer, "../chaos/writer")
	require.Zero(t, build.code, build.stderr)
	cast := chaos.Cast{Storage: []string{"n1", "n2", "n3", "n4", "n6"}, Replace: []string{"n1", "n2", "n3"}}
	for i := range chaosNodes {
		cast.Nodes = append(cast.Nodes, fmt.Sprintf("n%d", i+1))
	}
	for _, v := range chaosVolumes() {
		require.NoError(t, os.MkdirAll(r.histories(v.name), 0o700))
		r.ok("volume", "create", v.name, "--size", "64M", "--layout", v.layout, "--durability", v.durability,
			"--legs-on", v.legs)
		if v.manual {
			cast.Manual = append(cast.Manual, v.name)
			r.operators[v.name] = newOperator(r, v)
			continue
		}
		cast.Domains = append(cast.Domains, v.name)
		r.startDomain(v)
	}
	r.plan = chaos.Plan(seed, length, cast)
	return r
}

func (r *chaosRun) histories(volume string) string { return filepath.Join(r.dir, "history", volume) }

// writerArguments are those of a writer, wherever it runs.
func (r *chaosRun) writerArguments(volume, url, epoch, host string, more ...string) []string {
	return append([]string{r.writer, "-dir", r.histories(volume), "-blocks", strconv.Itoa(chaosBlocks),
		"-pause", "40ms", "-url", url, "-epoch", epoch, "-host", host}, more...)
}

func (r *chaosRun) startDomain(v chaosVolume) {
	r.t.Helper()
	command := r.writerArguments(v.name, "$HOLDFAST_VOLUME_"+string(v.name[0]-'a'+'A')+"_URL", "$HOLDFAST_EPOCH",
		"domain "+v.name, "-reconnect", "60s")
	spec, err := json.Marshal(map[string]any{"name": v.name, "driver": "exec", "hosts": v.hosts,
		"volumes": []map[string]string{{"name": v.name}}, "exec": map[string]any{"command": command}})
	require.NoError(r.t, err)
	file := filepath.Join(r.dir, v.name+".domain.yaml") // JSON is YAML
	require.NoError(r.t, os.WriteFile(file, spec, 0o600))
	r.ok("domain", "define", "-f", file)
	r.ok("domain", "start", v.name)
}

// try runs a holdfast command that may fail while things are wrong. It is safe for use by many goroutines.
func (r *chaosRun) try(limit time.Duration, args ...string) (string, error) {
	line := append(append(append([]string{}, r.enter...), os.Getenv(binaryEnv)), args...)
	ctx, stop := context.WithTimeout(r.life, limit)
	defer stop()
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Env = append(os.Environ(), r.env...)
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("not done after %s", limit)
		}
		return stdout.String(), fmt.Errorf("holdfast %s: %w: %s", strings.Join(args, " "), err,
			bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// sure runs a command of `dev` until it succeeds: what was begun has to be ended.
func (r *chaosRun) sure(args ...string) {
	r.t.Helper()
	for deadline := time.After(2 * time.Minute); ; {
		_, err := r.try(time.Minute, append(append([]string{"dev"}, args...), "--dir", r.dir)...)
		if err == nil {
			return
		}
		r.t.Logf("again: %v", err)
		select {
		case <-deadline:
			r.t.Fatalf("dev %v cannot be done", args)
		case <-time.After(time.Second):
		}
	}
}

// keep leaves the books and logs of a run that failed, and says where and how to run it again.
func (r *chaosRun) keep() {
	dir := os.Getenv(chaosKeepEnv)
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", fmt.Sprintf("hf-chaos-%d-", r.seed)); err != nil {
			r.t.Log(err)
			return
		}
	}
	script := `cd "$0" &&
		find . \( -name '*.log' -o -name '*.history' \) -exec cp --parents {} "$1" \;`
	for _, from := range append([]string{r.dir}, r.runDirs()...) {
		to := filepath.Join(dir, filepath.Base(filepath.Dir(from)), filepath.Base(from))
		if out, err := exec.Command("mkdir", "-p", to).CombinedOutput(); err != nil {
			r.t.Logf("%v: %s", err, out)
		}
		if out, err := exec.Command("sh", "-c", script, from, to).CombinedOutput(); err != nil {
			r.t.Logf("%v: %s", err, out)
		}
	}
	text, err := json.MarshalIndent(r.events, "", " ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "events.json"), text, 0o600)
	}
	if err != nil {
		r.t.Log(err)
	}
	r.t.Logf("failed at %s\nhistories and logs are in %s\nagain: ./scripts/chaos --seed %d --minutes %g",
		r.at, dir, r.seed, r.length.Minutes())
}
