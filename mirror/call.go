package mirror

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

// call is a command or question under way.
type call struct {
	id   CallID
	kind CommandKind
	leg  LegIndex // noLeg for a question about none
	sess uint32
	at   time.Duration
	op   *op    // of CommandSums, CommandAdopt, and CommandRollback of a write for which there was no room
	ref  uint64 // what it was about: a configuration, a job

	medium bool // it reads the leg's medium
}

// callLeg sends a command to a leg, bound to its present session.
func (c *Core) callLeg(i LegIndex, cmd *Command, o *op, ref uint64) {
	g := c.leg(i)
	g.calls++
	c.start(call{kind: cmd.Kind, leg: i, sess: g.sess, op: o, ref: ref, medium: cmd.Medium}, cmd)
}

// ask sends a question to the coordinators.
func (c *Core) ask(i LegIndex, cmd *Command, ref uint64) {
	k := call{kind: cmd.Kind, leg: i, ref: ref}
	if i != noLeg {
		k.sess = c.leg(i).sess
		cmd.LegID = c.leg(i).info.ID
	}
	c.start(k, cmd)
}

func (c *Core) start(k call, cmd *Command) {
	c.nextCall++
	k.id, k.at = c.nextCall, max(c.now, 1)
	c.calls = append(c.calls, k)
	c.emit(Effect{Kind: EffectCall, Call: k.id, Leg: k.leg, Req: Req{Leg: k.leg, Sess: k.sess}, Command: cmd})
}

func (c *Core) takeCall(id CallID) (call, bool) {
	for n, k := range c.calls {
		if k.id == id {
			c.calls = append(c.calls[:n], c.calls[n+1:]...)
			return k, true
		}
	}
	return call{}, false
}

// asking reports whether a command or question of this kind is under way.
func (c *Core) asking(kind CommandKind) bool {
	for _, k := range c.calls {
		if k.kind == kind {
			return true
		}
	}
	return false
}

// onAnswer takes the answer to a command or question.
func (c *Core) onAnswer(ev *Event) {
	k, ok := c.takeCall(ev.Call)
	if !ok {
		c.bug("answer to call %d that is not under way", ev.Call)
		return
	}
	if c.phase == phaseDetached {
		return // to a question of before: the legs have been let go, and no state is theirs any more
	}
	err := ev.Err
	if errors.Is(err, ErrSuperseded) && !errors.Is(err, block.ErrFenced) {
		err = fmt.Errorf("%s: %w: %w", k.kind, err, block.ErrFenced)
	}
	if (k.kind == CommandConfirm || k.kind == CommandConfirmCopy) && c.phase > phaseServing {
		return // the epoch may be given back by now, and nothing hangs on it
	}
	if errors.Is(err, block.ErrFenced) {
		c.over(err)
		return
	}
	if k.kind.ToLeg() {
		g := c.leg(k.leg)
		if g.calls--; g.calls == 0 {
			c.note(workJoin)
		}
		if err == nil && (!g.up || g.sess != k.sess) {
			err = errOldSession
		}
		if err == nil {
			c.confirm(k.leg, k.at)
		}
		if k.medium && (err == nil || errors.Is(err, block.ErrMedium)) {
			g.medium.answered, g.medium.at = max(g.medium.answered, k.at), c.now
		}
	}
	c.answered(k, err, &ev.Reply)
}

func (c *Core) answered(k call, err error, r *Reply) {
	switch k.kind {
	case CommandConfig:
		c.onConfig(k, err)
	case CommandMarks:
		c.onMarks(k, err, r)
	case CommandSums:
		if k.ref == sumsChallenge {
			c.onChallenge(k, err)
			return
		}
		c.onSums(k, err, r)
	case CommandAdopt:
		c.onAdopt(k, err)
	case CommandVersions:
		c.onVersions(k, err, r)
	case CommandStamp:
		c.onStamp(k, err)
	case CommandCommit, CommandFree, CommandRecords, CommandRollback, CommandDrop:
		c.lay.answered(c, k, err, r.Records)
	case CommandRotate:
		c.onRotate(k, err, r)
	case CommandStable:
		c.onStable(k, err, r)
	case CommandDetachLeg:
		c.onDetachLeg(k, err, r)
	case CommandRecordFence:
		c.onRecordFence(k, err, r)
	case CommandActivate:
		c.onActivate(k, err, r)
	case CommandRemoveLeg:
		c.onRemoveLeg(k, err, r)
	case CommandAddLeg:
		c.onAddLeg(k, err, r)
	case CommandDetach:
		c.onDetached(err)
	case CommandConfirm:
		c.onConfirm(k, err)
	case CommandConfirmCopy:
		c.onConfirmCopy(k, err, r)
	}
}

// legCallFailed takes into account that a leg did not do a command. A session that ended is dealt
// with where it ends.
func (c *Core) legCallFailed(k call, err error) {
	g := c.leg(k.leg)
	err = fmt.Errorf("%s: %w", k.kind, err)
	switch {
	case !unreachable(err):
		c.legFailed(k.leg, err)
	case g.up && g.sess == k.sess && c.ack.has(k.leg):
		c.troubled(k.leg)
	case g.up && g.sess == k.sess && g.state.Joining():
		c.dropJoin(k.leg, err.Error())
	}
}
