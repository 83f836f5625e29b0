package system

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// seedEnv repeats the draw of an earlier run.
const seedEnv = "HOLDFAST_SEED"

// frozen is how long a process is stopped: longer than T_read (2 s) and T_leg (3 s).
const frozen = 4 * time.Second

// TestFaults_nothingIsLostUnderVerifiedLoad lets fio write and compare while real processes are
// killed and frozen, nodes lose their power, and the volume moves to another host. One thing goes
// wrong in each round (or two that the volume must survive together); nothing that was acknowledged
// may be missing, flushed or not, since in no round all legs lose their power. HOLDFAST_ROUNDS says
// how many rounds; ten without it.
func TestFaults_nothingIsLostUnderVerifiedLoad(t *testing.T) {
	r := startRounds(t, "mirror=2", "n1", "n2")
	r.play(rounds(t, 10), faults(), func() { r.sameBytes("n1", "n2") })
}

// play has so many faults, each once before any comes again; whole is what must be true of the legs after each.
func (r *faultRounds) play(rounds int, all []fault, whole func()) {
	r.t.Helper()
	var deck []fault
	for number := 1; number <= rounds; number++ {
		if len(deck) == 0 {
			deck = slices.Clone(all)
			r.chance.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		f := deck[0]
		deck = deck[1:]
		begun := time.Now()
		l := load{r.disk, number}
		writer := l.start(unhurried)
		r.pause(2 * time.Second)
		f.do(r)
		writer.wait()
		r.c.waitInSync("disk", len(r.storage))
		l.verify()
		whole()
		r.t.Logf("round %d: %s (%.1fs)", number, f.name, time.Since(begun).Seconds())
	}
}

// fault is something that goes wrong in the middle of a load; do returns when all of it is mended.
type fault struct {
	name string
	do   func(*faultRounds)
}

func faults() []fault {
	return []fault{
		{"engine killed", (*faultRounds).killEngine},
		{"storage node killed", func(r *faultRounds) { r.killNode(r.storageNode()) }},
		{"host's daemon killed", (*faultRounds).killDaemon},
		{"raft leader killed", func(r *faultRounds) { r.killNode(r.awaitLeader()) }},
		{"storage node's power cut", func(r *faultRounds) { r.cut(r.storageNode()) }},
		{"raft leader's power cut", func(r *faultRounds) { r.cut(r.awaitLeader()) }},
		{"host's power cut, takeover", (*faultRounds).cutHost},
		{"storage node's power cut, engine killed", (*faultRounds).cutAndKillEngine},
		{"storage node's power cut, the other's process killed", (*faultRounds).cutAndKillStorage},
		{"engine frozen", func(r *faultRounds) { r.freeze(r.c.served("disk").Attachment.EnginePID) }},
		{"storage node frozen", func(r *faultRounds) { r.freezeNode(r.storageNode()) }},
		{"host's daemon frozen", func(r *faultRounds) { r.freeze(r.daemon(r.host)) }},
		{"raft leader frozen", func(r *faultRounds) { r.freezeNode(r.awaitLeader()) }},
		{"takeover", (*faultRounds).takeOver},
		{"host frozen, takeover", (*faultRounds).takeOverFrozen},
	}
}

// faultRounds is a site whose volume has its legs on nodes from n1 on and is attached on n4 or n5.
type faultRounds struct {
	*site
	c       *cluster
	disk    *disk
	storage []string // its nodes
	host    string
	chance  *rand.Rand
}

func startRounds(t *testing.T, layout string, storage ...string) *faultRounds {
	t.Helper()
	seed := drawSeed(t)
	s := upWithDisks(t)
	r := &faultRounds{site: s, c: s.cluster, storage: storage, host: "n4", chance: rand.New(rand.NewPCG(seed, 0))}
	s.ok("volume", "create", "disk", "--size", fmt.Sprintf("%dM", guestDiskMiB), "--layout", layout,
		"--legs-on", strings.Join(storage, ","))
	r.disk = newDisk(s.cluster, "disk", s.attach("disk", r.host))
	return r
}

// drawSeed returns HOLDFAST_SEED, or a seed that no run had, and says which.
func drawSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(seedEnv); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, seedEnv)
	}
	t.Logf("%s=%d", seedEnv, seed)
	return seed
}

// pause lets the load go on for a while that is drawn, up to atMost.
func (r *faultRounds) pause(atMost time.Duration) {
	<-time.After(time.Duration(r.chance.Int64N(int64(atMost))))
}

func (r *faultRounds) storageNode() string { return r.storage[r.chance.IntN(len(r.storage))] }

func (r *faultRounds) awaitLeader() string {
	r.t.Helper()
	var name string
	r.eventually(time.Minute, "a leader", func() bool { name = r.leader(); return name != "" })
	return name
}

// daemon returns the process number of a node's daemon.
func (r *faultRounds) daemon(node string) int {
	r.t.Helper()
	all := r.nodes()
	i := slices.IndexFunc(all, func(n nodeView) bool { return n.Name == node })
	require.GreaterOrEqual(r.t, i, 0, node)
	require.NotZero(r.t, all[i].PID)
	return all[i].PID
}

func (r *faultRounds) killEngine() {
	r.t.Helper()
	v := r.endEngine("disk")
	r.eventually(time.Minute, "a new epoch", func() bool { return r.volume("disk").Epoch > v.Epoch })
}

func (r *faultRounds) killDaemon() {
	require.NoError(r.t, syscall.Kill(r.daemon(r.host), syscall.SIGKILL))
	r.pause(frozen)
	r.dev("start", r.host)
}

func (r *faultRounds) killNode(node string) {
	r.dev("kill", node)
	r.pause(frozen)
	r.dev("start", node)
}

func (r *faultRounds) cut(node string) {
	r.cutPower(node)
	r.pause(frozen)
	r.dev("start", node)
}

func (r *faultRounds) cutHost() {
	old := r.host
	r.cutPower(old)
	r.takeOver()
	r.dev("start", old)
}

func (r *faultRounds) cutAndKillEngine() {
	node := r.storageNode()
	r.cutPower(node)
	r.killEngine()
	r.dev("start", node)
}

// cutAndKillStorage cuts one storage node's power while the other's processes die and leave their
// page cache behind. The one without its cache returns first, and must not be taken for the good one.
func (r *faultRounds) cutAndKillStorage() {
	node := r.storageNode()
	other := r.storage[(slices.Index(r.storage, node)+1)%len(r.storage)]
	r.dev("kill", other)
	r.cutPower(node)
	r.dev("start", node)
	r.pause(frozen)
	r.dev("start", other)
}

func (r *faultRounds) freeze(pid int) {
	r.t.Helper()
	require.NoError(r.t, syscall.Kill(pid, syscall.SIGSTOP))
	<-time.After(frozen)
	require.NoError(r.t, syscall.Kill(pid, syscall.SIGCONT))
}

func (r *faultRounds) freezeNode(node string) {
	r.t.Helper()
	r.dev("pause", node)
	<-time.After(frozen)
	r.dev("resume", node)
}

// takeOver moves the volume to the other host, and the guest's disk with it.
func (r *faultRounds) takeOver() {
	r.t.Helper()
	r.host = map[string]string{"n4": "n5", "n5": "n4"}[r.host]
	r.disk.plug(r.attach("disk", r.host, "--takeover"))
}

func (r *faultRounds) takeOverFrozen() {
	old := r.host
	r.dev("pause", old)
	r.takeOver()
	<-time.After(frozen)
	r.dev("resume", old)
}
