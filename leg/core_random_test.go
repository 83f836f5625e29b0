package leg

import (
	"errors"
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

var seedFlag = flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random tests")

// randomCore drives a Core with random events, restarts and power cuts included, and holds its
// invariants after each.
type randomCore struct {
	t    *testing.T
	rng  *rand.Rand
	core *Core

	persist  *volume.Label // on its way to the disk
	syncs    []OpID
	nextOp   OpID
	logins   map[OpID]Login
	sessions map[SessionID]Login // that a login opened, or that it may open
	open     map[SessionID]bool
	inside   []insider // requests inside the gate
	boot     byte
	top      volume.Epoch // highest epoch that a completed login had

	written, synced uint64          // writes that ended, and how many of them a sync covered
	covers          map[OpID]uint64 // of each sync on its way: the writes that had ended
}

type insider struct {
	session SessionID
	write   bool
	gen     uint64
}

func TestCore_randomEvents(t *testing.T) {
	t.Logf("seed %d: repeat with -seed", *seedFlag)
	for run := range uint64(50) {
		r := &randomCore{t: t, rng: rand.New(rand.NewPCG(*seedFlag, run)), boot: 1}
		r.restart(volume.Label{SizeBytes: 1 << 20})
		for range 300 {
			r.step()
			r.effects()
			r.check()
		}
	}
}

func (r *randomCore) restart(l volume.Label) {
	r.core = NewCore(StartLabel(l, false), scriptUUID(r.boot), r.rng.Uint64())
	r.persist, r.syncs, r.inside = nil, nil, nil
	r.written, r.synced, r.covers = 0, 0, map[OpID]uint64{}
	r.logins, r.sessions, r.open = map[OpID]Login{}, map[SessionID]Login{}, map[SessionID]bool{}
}

func (r *randomCore) op() OpID { r.nextOp++; return r.nextOp }

func (r *randomCore) anySession() SessionID {
	return SessionID(r.rng.IntN(int(r.core.nextSession) + 1))
}

func (r *randomCore) step() {
	s := r.anySession()
	switch r.rng.IntN(14) {
	case 0:
		epoch := volume.Epoch(r.rng.IntN(3)) + r.core.label.FenceEpoch
		l := Login{Epoch: max(epoch, 1) - 1, Attach: volume.AttachID{UUID: scriptUUID(byte(epoch))},
			ISID: ISID{byte(r.rng.IntN(2))}}
		op := r.op()
		r.logins[op] = l
		if id := r.core.Login(op, l); id != 0 {
			r.sessions[id] = l
		}
	case 1, 2:
		r.core.Config(r.op(), s, r.sessions[s].Epoch, volume.Config{
			CfgVer: r.core.label.Config.CfgVer + volume.CfgVer(r.rng.IntN(2)),
			InSync: []volume.LegID{{UUID: scriptUUID(1)}}})
	case 3, 4, 5:
		r.enter(s, r.rng.IntN(2) == 0)
	case 6:
		r.core.Mark(r.op(), s)
	case 7, 13:
		if gen, err := r.core.Rotate(s); err == nil {
			r.core.Stable(r.op(), s, gen)
		}
	case 8:
		if r.rng.IntN(4) == 0 {
			r.core.Detach(r.op(), s, r.rng.IntN(2) == 0)
		}
	case 9, 10:
		r.world()
	case 11:
		if len(r.inside) > 0 {
			i := r.rng.IntN(len(r.inside))
			if r.inside[i].write {
				r.written++
			}
			r.core.Leave(r.inside[i].session, r.inside[i].write)
			r.inside = append(r.inside[:i], r.inside[i+1:]...)
		}
	case 12:
		if r.rng.IntN(3) == 0 && r.open[s] {
			r.core.SessionClosed(s)
			delete(r.open, s)
		}
	}
}

// world lets the disk go on, or the machine restart.
func (r *randomCore) world() {
	switch n := r.rng.IntN(20); {
	case n == 0:
		r.boot++ // the machine: what was on its way is there or not
		fallthrough
	case n == 1:
		l := r.core.Durable()
		if r.persist != nil && r.rng.IntN(2) == 0 {
			l = *r.persist
		}
		r.restart(l)
	case n < 12 && r.persist != nil:
		l := *r.persist
		r.persist = nil
		r.core.Persisted(l, nil)
	case len(r.syncs) > 0:
		op := r.syncs[0]
		r.syncs = r.syncs[1:]
		r.synced = max(r.synced, r.covers[op])
		r.core.Synced(op, nil)
	}
}

func (r *randomCore) enter(s SessionID, write bool) {
	verdict, err := r.core.Enter(s, write)
	require.Equal(r.t, verdict == Refuse, err != nil)
	if l, known := r.sessions[s]; known && r.core.session(s) != nil {
		require.Equal(r.t, l.Epoch < r.core.label.FenceEpoch, errors.Is(err, block.ErrFenced),
			"an older epoch, and nothing else, is fenced")
	}
	if verdict != Admit {
		return
	}
	d := r.core.Durable()
	require.True(r.t, r.open[s], "only an open session enters")
	require.Equal(r.t, r.core.label.FenceEpoch, r.sessions[s].Epoch, "I3: only the label's epoch enters")
	require.Equal(r.t, d.FenceEpoch, r.sessions[s].Epoch)
	require.True(r.t, d.Admit && !d.Closed)
	require.False(r.t, lossy(d, r.core.boot), "a lossy leg serves nothing")
	if write {
		require.True(r.t, d.Marked, "a mark is durable before the data")
	}
	r.inside = append(r.inside, insider{s, write, r.core.window})
}

func (r *randomCore) effects() {
	for _, e := range r.core.Effects() {
		switch e.Kind {
		case EffectPersist:
			require.Nil(r.t, r.persist, "one write of the label at a time")
			l := e.Label
			r.checkPersist(r.core.Durable(), l)
			r.persist = &l
		case EffectKill:
			delete(r.open, e.Session)
		case EffectSync:
			r.syncs, r.covers[e.Op] = append(r.syncs, e.Op), r.written
		case EffectReply:
			if login, ok := r.logins[e.Op]; ok && e.Err == nil {
				r.loggedIn(e.Session, login)
			}
		}
	}
}

// checkPersist holds what may happen to marks from one durable label to the next.
func (r *randomCore) checkPersist(from, to volume.Label) {
	if from.Marked && !to.Marked {
		require.False(r.t, lossy(from, r.core.boot), "evidence of a lost cache is not cleared")
		require.Equal(r.t, r.written, r.synced, "marks are cleared after all that they cover is synced")
	}
	if lossy(from, r.core.boot) && !lossy(to, r.core.boot) {
		require.True(r.t, to.Admit, "only a CONFIG ends lossy: a login never does")
	}
}

func (r *randomCore) loggedIn(s SessionID, l Login) {
	require.Equal(r.t, l.Epoch, r.core.Durable().FenceEpoch,
		"I5: the label is durable when the login completes")
	require.GreaterOrEqual(r.t, l.Epoch, r.top, "I2")
	r.top = l.Epoch
	r.open[s] = true
	for _, in := range r.inside {
		other := r.sessions[in.session]
		require.False(r.t, other.Epoch < l.Epoch || other == l, "I4: what the login ends has drained")
	}
}

func (r *randomCore) check() {
	d := r.core.Durable()
	require.GreaterOrEqual(r.t, d.FenceEpoch, r.top, "I2: the durable epoch never decreases")
	require.LessOrEqual(r.t, r.core.durableVersion, r.core.version)
	if r.core.durableVersion == r.core.version {
		label := r.core.label
		label.SlotSeq = d.SlotSeq
		require.Equal(r.t, d, label)
	}
	for _, in := range r.inside {
		require.False(r.t, in.write && !d.Marked, "no mark is cleared under a write in flight")
	}
}
