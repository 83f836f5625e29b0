package system

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/export/nbd"
	"github.com/holdfast-storage/holdfast/node/demo"
)

// TestRounds lets a guest of the driver exec write flushed, numbered records while, round after round, something fails
// under it, so that it fails over: to the other host, or on the same one when only its engine died. After each failure
// the guest goes on behind everything it was promised, and in the end every record is there, and the records tell that
// never two guests wrote at once. HOLDFAST_ROUNDS says how many rounds; ten without it.
func TestRounds(t *testing.T) {
	n := rounds(t, 10)
	g := startGuestFor(t, n)
	failures := []struct {
		name string
		do   func(*guest)
	}{
		{"failover on command", (*guest).failover},
		{"engine killed", (*guest).killEngine},
		{"failover with a storage node dead", (*guest).killStorage},
		{"host frozen and woken up", (*guest).freezeHost},
		{"host's power lost", (*guest).killHost},
	}
	for i := range n {
		f := failures[i%len(failures)]
		t.Logf("round %d: %s", i+1, f.name)
		before := g.c.volume("disk").Epoch
		f.do(g)
		g.check()
		require.Greater(t, g.c.volume("disk").Epoch, before, "the volume was attached anew")
	}
	g.verify()
}

// rounds is how often a test that repeats itself does so: HOLDFAST_ROUNDS, else few.
func rounds(t *testing.T, few int) int {
	t.Helper()
	text := os.Getenv("HOLDFAST_ROUNDS")
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	require.NoErrorf(t, err, "HOLDFAST_ROUNDS")
	return n
}

// guest is a domain that writes records to a volume with legs on n1 and n2; it runs on n4 or n5.
type guest struct {
	t    *testing.T
	c    *cluster
	log  string
	last string // of its hosts: whoever looks at its disk afterwards does so there
}

func startGuest(t *testing.T) *guest {
	t.Helper()
	return startGuestFor(t, 10)
}

// startGuestFor starts a guest with room for the records of so many rounds, of half a minute each at most.
func startGuestFor(t *testing.T, rounds int) *guest {
	t.Helper()
	size := fmt.Sprintf("%dM", max(512, 20*rounds))
	return guestOn(t, up(t, 5), "n4, n5", "--size", size, "--layout", "mirror=2", "--legs-on", "n1,n2")
}

// guestOn starts a guest on a cluster that is there, with a volume that is made as the flags say.
func guestOn(t *testing.T, c *cluster, hosts string, flags ...string) *guest {
	t.Helper()
	_, last, _ := strings.Cut(hosts, ", ")
	g := &guest{t: t, c: c, log: filepath.Join(t.TempDir(), "guest.log"), last: last[max(0, len(last)-2):]}
	spec := filepath.Join(t.TempDir(), "guest.yaml")
	text := fmt.Sprintf("name: guest\ndriver: exec\nvolumes: [{name: disk}]\nhosts: [%s]\n"+
		"exec: {command: [%s, demo, guest, --pause, 50ms, --log, %s, --url, $HOLDFAST_VOLUME_DISK_URL, "+
		"--epoch, $HOLDFAST_EPOCH]}\n", hosts, os.Getenv(binaryEnv), g.log)
	require.NoError(t, os.WriteFile(spec, []byte(text), 0o600))
	c.ok(append([]string{"volume", "create", "disk"}, flags...)...)
	c.ok("domain", "define", "-f", spec)
	c.ok("domain", "start", "guest")
	g.progress(30 * time.Second)
	return g
}

// lines returns what the guests have reported so far.
func (g *guest) lines() []demo.LogLine {
	g.t.Helper()
	text, err := os.ReadFile(g.log)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(g.t, err)
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	var all []demo.LogLine
	for scanner := bufio.NewScanner(bytes.NewReader(text)); scanner.Scan(); {
		var l demo.LogLine
		require.NoError(g.t, json.Unmarshal(scanner.Bytes(), &l))
		all = append(all, l)
	}
	return all
}

func (g *guest) flushed() uint64 {
	var next uint64
	for _, l := range g.lines() {
		if l.Event == "flushed" {
			next = max(next, l.Next)
		}
	}
	return next
}

// progress waits until the guest has flushed more than it had.
func (g *guest) progress(limit time.Duration) {
	g.t.Helper()
	before := g.flushed()
	require.Eventually(g.t, func() bool { return g.flushed() > before }, limit, 50*time.Millisecond,
		"the guest flushed nothing more")
}

// check holds, over all that was reported, that every start found whatever had been flushed by an
// earlier epoch, and that no guest of an older epoch was told of a flush that a later one did not
// find.
func (g *guest) check() {
	g.t.Helper()
	g.progress(60 * time.Second)
	flushedBy := map[uint64]uint64{} // epoch -> highest flush
	for _, l := range g.lines() {
		if l.Event == "flushed" {
			flushedBy[l.Epoch] = max(flushedBy[l.Epoch], l.Next)
		}
	}
	for _, l := range g.lines() {
		for epoch, next := range flushedBy {
			if l.Event == "start" && epoch < l.Epoch {
				require.LessOrEqualf(g.t, next, l.Next, "epoch %d found %d records, epoch %d had flushed %d",
					l.Epoch, l.Next, epoch, next)
			}
		}
	}
}

// host returns where the guest runs.
func (g *guest) host() string {
	g.t.Helper()
	var d struct{ Host string }
	g.c.object(&d, "domain", "show", "guest")
	require.NotEmpty(g.t, d.Host)
	return d.Host
}

func (g *guest) dev(verb, node string) { g.c.ok("dev", verb, node, "--dir", g.c.dir) }

func (g *guest) failover() { g.c.ok("domain", "failover", "guest") }

func (g *guest) killEngine() {
	v := g.c.endEngine("disk")
	g.c.eventually(60*time.Second, "a new epoch", func() bool { return g.c.volume("disk").Epoch > v.Epoch })
}

func (g *guest) killStorage() {
	g.dev("kill", "n2")
	g.progress(60 * time.Second)
	g.failover()
	g.progress(60 * time.Second)
	g.dev("start", "n2")
	g.c.waitInSync("disk", 2)
}

func (g *guest) freezeHost() {
	host := g.host()
	g.dev("pause", host)
	g.c.eventually(60*time.Second, "the guest runs elsewhere", func() bool { return g.host() != host })
	g.progress(60 * time.Second)
	g.dev("resume", host)
	g.settled(host)
}

func (g *guest) killHost() {
	host := g.host()
	g.dev("kill", host)
	g.c.eventually(60*time.Second, "the guest runs elsewhere", func() bool { return g.host() != host })
	g.progress(60 * time.Second)
	g.dev("start", host)
}

// settled waits until nothing but its daemon is left on a host that was fenced.
func (g *guest) settled(host string) {
	g.t.Helper()
	g.c.eventually(60*time.Second, "only the daemon is left on "+host, func() bool {
		var nodes []struct {
			Name      string
			PID       int
			Processes []int
		}
		g.c.object(&nodes, "dev", "status", "--dir", g.c.dir)
		for _, n := range nodes {
			if n.Name == host {
				return len(n.Processes) == 1 && n.Processes[0] == n.PID
			}
		}
		return false
	})
}

// verify stops the guest and reads every record that was flushed.
func (g *guest) verify() {
	g.t.Helper()
	g.c.ok("domain", "stop", "guest")
	want := g.flushed()
	url := g.c.attach("disk", g.last)
	address, err := nbd.ParseURL(url)
	require.NoError(g.t, err)
	d, err := nbd.Dial(g.t.Context(), address, nbd.ClientOptions{})
	require.NoError(g.t, err)
	all, err := demo.Written(g.t.Context(), d)
	require.NoError(g.t, err)
	require.NoError(g.t, d.Close())
	require.NotEmpty(g.t, all)
	require.GreaterOrEqual(g.t, all[len(all)-1].Next, want)
	require.NoError(g.t, demo.OneWriter(all, g.lines()))
	g.t.Logf("%d records were flushed, %d are there, of %d guests one after the other",
		want, all[len(all)-1].Next, len(all))
	g.c.ok("volume", "detach", "disk")
}
