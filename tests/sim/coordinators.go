package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// coordinators are the raft cluster seen from outside: one log, applied to the real State, and one
// leader at a time with a clock of its own. While no leader is elected nobody answers.
type coordinators struct {
	w     *world
	state *raft.State
	waits *raft.WaitClock
	clock clock
	jump  time.Duration // what its wall clock is off by
	noone bool          // an election is under way, or most coordinators are gone

	cluster volume.ClusterID
	volume  volume.ID
	old     *raft.State // what a backup holds

}

var (
	errNoAnswer = errors.New("no answer from a coordinator")
	bornAt      = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

const volumeName = "vol"

func newCoordinators(w *world) *coordinators {
	c := &coordinators{w: w, state: raft.NewState(), cluster: volume.ClusterID{UUID: w.uuid()},
		volume: volume.ID{UUID: w.uuid()}}
	c.state.Break(w.opts.Broken.Raft)
	c.elect()
	return c
}

// elect gives the cluster another leader. It knows nothing of how long its predecessor waited.
func (c *coordinators) elect() {
	c.clock, c.jump = c.w.newClock(), 0
	c.waits = raft.NewWaitClock(0)
	c.noone = false
	c.waits.Observe(c.state, c.time())
}

func (c *coordinators) time() time.Time { return bornAt.Add(c.clock.read(c.w.now)) }

func (c *coordinators) vol() *raft.Volume { return c.state.Volumes[c.volume] }

// commit proposes a command to the leader of this moment and applies it.
func (c *coordinators) commit(cmd raft.Command) raft.Result {
	cmd.At = c.time().Add(c.jump)
	if cmd.Activate != nil {
		a := *cmd.Activate
		a.Waited = c.waits.Left(a.Volume, a.Epoch, c.time()) == 0
		cmd.Activate = &a
	}
	before, told := c.vol(), len(c.state.Events)
	r := c.state.Apply(cmd)
	for _, e := range c.state.Events[min(told, len(c.state.Events)):] {
		c.w.logf("raft says: %s", e.Message)
	}
	c.waits.Observe(c.state, c.time())
	c.w.watch.committed(before, c.vol(), &cmd, &r)
	return r
}

// must commits a command of the set-up or of an operator that cannot be refused.
func (c *coordinators) must(cmd raft.Command) raft.Result {
	r := c.commit(cmd)
	if r.Err != nil {
		c.w.fail("setup", "%s: %v", cmd.Name(), r.Err)
	}
	return r
}

// create makes the cluster and a volume whose legs are on the first nodes.
func (c *coordinators) create(layout volume.Layout, size int64, d volume.Durability, loss volume.UnflushedLoss) {
	c.must(raft.Command{InitCluster: &raft.InitCluster{Name: "sim", ID: c.cluster, Incarnation: c.cluster}})
	c.must(raft.Command{RaiseVersion: &raft.RaiseVersion{To: raft.VersionLatest}})
	for _, n := range c.w.nodes {
		c.register(n)
	}
	cv := raft.CreateVolume{ID: c.volume, Name: volumeName, SizeBytes: size, Durability: d, UnflushedLoss: loss,
		Layout: layout, DataGen: c.w.uuid()}
	for i := range layout.Legs() {
		n := c.w.nodes[i]
		cv.Legs = append(cv.Legs, raft.NewLeg{ID: volume.LegID{UUID: c.w.uuid()}, Node: n.id,
			Store: n.store, Slot: i})
	}
	c.must(raft.Command{CreateVolume: &cv})
	if c.w.violation != nil {
		return
	}
	for _, l := range cv.Legs {
		c.provision(l)
		c.must(raft.Command{LegProvisioned: &raft.LegProvisioned{Volume: c.volume, Leg: l.ID}})
	}
}

// register takes a node into the cluster.
func (c *coordinators) register(n *node) {
	c.must(raft.Command{RegisterNode: c.registration(n, n.store)})
}

// registration is what a node says of itself.
func (c *coordinators) registration(n *node, store volume.StoreID) *raft.RegisterNode {
	return &raft.RegisterNode{Node: raft.Node{
		ID: n.id, Name: n.name, Roles: []raft.Role{raft.RoleStorage, raft.RoleHost}, API: n.name + ":1",
		Portal: n.name + ":3260", Stores: []raft.Store{{ID: store, Name: "main"}},
		ChapKey: volume.NodeKey{1}, KeyGen: 1}}
}

// provision makes a blank leg on its node.
func (c *coordinators) provision(l raft.NewLeg) {
	v := c.vol()
	n := c.w.nodeOf(l.Node)
	n.provision(volume.Label{Incarnation: c.state.Cluster.Incarnation, VolumeID: v.ID, VolumeName: v.Name,
		LegID: l.ID, StoreID: l.Store, DataGen: v.DataGen, Layout: v.Layout, Slot: l.Slot,
		Durability: v.Durability, SizeBytes: v.SizeBytes})
}

// inSync reports whether raft has a leg in sync.
func (c *coordinators) inSync(id volume.LegID) bool { return c.vol().Config().Contains(id) }

// beginAttach grants the next epoch and returns it with its identity; false if it was refused.
func (c *coordinators) beginAttach(host volume.NodeID, accept bool) (volume.Epoch, volume.AttachID, bool) {
	id := volume.AttachID{UUID: c.w.uuid()}
	r := c.commit(raft.Command{BeginAttach: &raft.BeginAttach{Volume: c.volume, Host: host, AttachID: id,
		Takeover: true, AcceptLoss: accept}})
	if r.Err == nil {
		id = c.vol().Attach.ID // another one only if the rule on epochs is broken
	}
	return r.Epoch, id, r.Err == nil
}

// ask carries a question of an engine to the coordinators, as the engine's authority does. It may be
// lost, its answer may be lost, it may come twice, and what was given up may still be committed later.
func (c *coordinators) ask(h *host, x *mirror.Effect, answer func(mirror.Reply, error)) {
	w := c.w
	cmd := c.command(h, x.Command)
	asked := w.watch.removing(h, x.Command.LegID)
	unknown := func(d time.Duration) { w.after(d, func() { answer(mirror.Reply{}, errNoAnswer) }) }
	apply := func() (mirror.Reply, error) {
		if c.noone || h.noRaft {
			return mirror.Reply{}, errNoAnswer
		}
		before := c.vol().InSync
		r := c.commit(cmd)
		if cmd.RemoveLeg != nil && r.Err == nil {
			w.watch.removed(asked, before, c.vol().InSync)
		}
		w.logf("raft %s of epoch %s: %s", cmd.Name(), h.epoch, resultText(&r))
		if cmd.ConfirmCopy != nil && r.Err == nil {
			w.saved(h, cmd.ConfirmCopy.Leg)
		}
		return reply(x.Command.Kind, &r)
	}
	fate := 99
	if !w.calm {
		fate = w.rng.IntN(w.profile.raftLoss)
		if w.chance(w.profile.raftLate) {
			fate = 1 + 2*w.rng.IntN(2)
		}
	}
	switch {
	case c.noone || h.noRaft || fate == 0:
		unknown(w.pick(time.Second))
	case fate == 1: // given up, and committed afterwards
		unknown(w.pick(time.Second))
		w.after(w.pick(8*time.Second), func() { _, _ = apply() })
	default:
		w.after(w.latency()+w.commitTime(), func() {
			r, err := apply()
			if fate == 2 {
				unknown(w.pick(time.Second))
				return
			}
			w.after(w.latency(), func() { answer(r, err) })
		})
		if fate == 3 { // a duplicate, perhaps much later
			late := w.latency() * time.Duration(1+w.rng.IntN(400))
			if w.profile.raftLate > 0 {
				late = w.pick(10 * time.Second)
			}
			w.after(late, func() { _, _ = apply() })
		}
	}
}

// commitTime is what a commit takes besides the way there and back.
func (w *world) commitTime() time.Duration {
	if w.profile.raftSlow == 0 || w.calm {
		return 0
	}
	return w.pick(w.profile.raftSlow)
}

// command makes raft's command of an engine's question.
func (c *coordinators) command(h *host, x *mirror.Command) raft.Command {
	switch x.Kind {
	case mirror.CommandRecordFence:
		return raft.Command{RecordFence: &raft.RecordFence{Volume: c.volume, Epoch: h.epoch,
			Leg: x.Report.Label.LegID, Report: x.Report, SetBack: x.SetBack}}
	case mirror.CommandActivate:
		return raft.Command{Activate: &raft.Activate{Volume: c.volume, Epoch: h.epoch}}
	case mirror.CommandRemoveLeg:
		return raft.Command{RemoveLeg: &raft.RemoveLeg{Volume: c.volume, Epoch: h.epoch, Leg: x.LegID,
			SeenCfg: x.CfgVer, Reason: x.Reason, SetBack: x.SetBack, Seqs: x.Seqs}}
	case mirror.CommandAddLeg:
		return raft.Command{AddLeg: &raft.AddLeg{Volume: c.volume, Epoch: h.epoch, CfgVer: x.CfgVer,
			Leg: x.LegID, Store: x.Store, Instance: x.Instance}}
	case mirror.CommandConfirmCopy:
		return raft.Command{ConfirmCopy: &raft.ConfirmCopy{Volume: c.volume, Epoch: h.epoch, CfgVer: x.CfgVer,
			Leg: x.LegID, Store: x.Store, Instance: x.Instance, Upto: x.Copied.Upto, Since: x.Copied.Since,
			Seqs: x.Seqs}}
	case mirror.CommandConfirm:
		return raft.Command{ConfirmConfig: &raft.ConfirmConfig{Volume: c.volume, Epoch: h.epoch,
			CfgVer: x.CfgVer,
			Seqs:   x.Seqs}}
	}
	return raft.Command{Detach: &raft.Detach{Volume: c.volume, Epoch: h.epoch, Clean: x.Clean, Seqs: x.Seqs}}
}

// reply makes the engine's answer of raft's result.
func reply(kind mirror.CommandKind, r *raft.Result) (mirror.Reply, error) {
	out := mirror.Reply{Config: r.Config, Lossy: r.Lossy, Clean: r.Clean, SetBack: r.SetBack,
		Copied: mirror.Copied{Upto: r.Copied.Upto, Since: r.Copied.Since}}
	if r.Err == nil {
		return out, nil
	}
	codes := map[raft.Code]error{raft.CodeFenced: mirror.ErrSuperseded, raft.CodeLast: mirror.ErrLast,
		raft.CodeRetry: mirror.ErrRetry, raft.CodeStale: mirror.ErrStaleRequest, raft.CodeWait: mirror.ErrWait}
	known := codes[r.Err.Code]
	if kind == mirror.CommandAddLeg && (r.Err.Code == raft.CodeNotFound || r.Err.Code == raft.CodeInvalid) {
		known = mirror.ErrRetry // the leg changed: as if the compare-and-set had failed
	}
	if kind == mirror.CommandConfirmCopy && (r.Err.Code == raft.CodeNotFound || r.Err.Code == raft.CodeInvalid) {
		known = mirror.ErrWait // nothing is kept of this leg
	}
	if known == nil {
		known = errNoAnswer
	}
	return out, fmt.Errorf("%w: %w", known, r.Err)
}

func resultText(r *raft.Result) string {
	if r.Err != nil {
		return string(r.Err.Code) + ": " + r.Err.Message
	}
	return fmt.Sprintf("ok, epoch %s cfgver %s in sync %d", r.Epoch, r.Config.CfgVer, len(r.Config.InSync))
}
