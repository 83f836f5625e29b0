package mirror

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// authorityTimeout bounds one question to the coordinators. Its end means that the outcome is
// unknown; the Core asks again.
const authorityTimeout = 5 * time.Second

// legRunner is one leg with its present session; it is the leg's LegSink.
type legRunner struct {
	engine *Engine
	index  LegIndex
	leg    Leg

	life    sync.Mutex // orders Start and Stop of the adapter
	started bool
	stopped bool

	// With engine.mu held:
	stopping bool
	sess     uint32
	ctx      context.Context // of the session; nil without one
	cancel   context.CancelFunc
}

// legRequest is a request to a leg, from a pool.
type legRequest struct {
	block.Request
	engine *Engine
	req    Req
	buf    *buffer // what a read fills; nil for a write, whose payload the Core releases
}

// Up implements LegSink.
func (l *legRunner) Up(_ volume.LegID, report volume.LegReport) {
	e := l.engine
	e.mu.Lock()
	if l.stopping || e.closed {
		e.mu.Unlock()
		return
	}
	l.endSession()
	l.ctx, l.cancel = context.WithCancel(e.root)
	l.sess = e.core.leg(l.index).sess + 1 // what the Core is about to call it
	e.stepLocked(&Event{Kind: EventUp, Leg: l.index, Report: &report}, nil)
}

// Down implements LegSink. Commands of the session are bound to it by a context that ends here,
// before the leg may log in again.
func (l *legRunner) Down(_ volume.LegID, cause error) {
	e := l.engine
	e.mu.Lock()
	if l.stopping || e.closed {
		e.mu.Unlock()
		return
	}
	l.endSession()
	e.stepLocked(&Event{Kind: EventDown, Leg: l.index, Err: cause}, nil)
}

func (l *legRunner) endSession() {
	if l.cancel != nil {
		l.cancel()
	}
	l.ctx, l.cancel = nil, nil
}

// step runs one event through the Core and carries out what follows. It reports whether the engine
// was open.
func (e *Engine) step(ev *Event, g *guestIO) bool {
	e.mu.Lock()
	return e.stepLocked(ev, g)
}

// stepLocked is step with e.mu held; it unlocks it.
func (e *Engine) stepLocked(ev *Event, g *guestIO) bool {
	if e.closed {
		e.mu.Unlock()
		return false
	}
	e.running.Add(1)
	defer e.running.Done()
	if g != nil {
		e.link(g)
	}
	list, _ := e.effectPool.Get().(*[]Effect)
	if list == nil {
		list = new([]Effect)
	}
	// The time is taken under the lock, after whatever the event is about has happened: a read that
	// was held up before this line is measured with the delay.
	now := e.opts.Clock.Now()
	*list = e.core.Step(now, ev, (*list)[:0])
	for i := range *list {
		e.record(&(*list)[i], now)
	}
	e.arm(now)
	e.mu.Unlock()
	for i := range *list {
		e.carryOut(&(*list)[i])
	}
	clear(*list)
	e.effectPool.Put(list)
	return true
}

// record does the part of an effect that must keep the order of the steps; e.mu is held.
func (e *Engine) record(x *Effect, now time.Duration) {
	switch x.Kind {
	case EffectDeliver, EffectComplete:
		e.unlink(x.Guest.(*guestIO))
	case EffectFill, EffectChange, EffectEncode, EffectTrim, EffectDecode:
		x.Data.(*buffer).making.Add(1)
	case EffectCall, EffectVerify:
		e.running.Add(1)
	case EffectStop:
		e.running.Add(1)
		l := e.runner(x.Leg)
		l.stopping = true
		l.endSession()
	case EffectStage:
		e.stages = append(e.stages, Stage{Name: x.Text, At: now - e.began})
		if x.Text == "serving" {
			close(e.served)
		}
	case EffectState:
		e.tell(notice{state: x.State, text: x.Text})
	case EffectLeg:
		e.tell(notice{leg: e.core.leg(x.Leg).info.ID, isLeg: true, from: x.From, to: x.To, text: x.Text})
	case EffectScrubbed:
		e.tell(notice{scrub: x.Scrub})
	case EffectDetached:
		e.clean = x.Clean
		close(e.detached)
	case EffectStopped:
		e.cause = x.Err
		close(e.stopped)
		e.tell(notice{stopped: x.Err})
	}
}

// carryOut does an effect; no lock is held.
func (e *Engine) carryOut(x *Effect) {
	switch x.Kind {
	case EffectSubmit:
		e.send(x)
	case EffectDeliver:
		e.deliver(x)
	case EffectComplete:
		e.answerGuest(x.Guest.(*guestIO), x.Err)
	case EffectRelease:
		b := x.Data.(*buffer)
		b.making.Wait()
		e.dropParity(b)
		e.buffers.put(b)
	case EffectChange, EffectEncode, EffectTrim, EffectDecode:
		e.compute(x)
		x.Data.(*buffer).making.Done()
	case EffectVerify:
		go e.verify(*x)
	case EffectFill:
		fill(x)
		x.Data.(*buffer).making.Done()
	case EffectPing:
		leg, sess := x.Leg, x.Req.Sess
		e.runner(leg).leg.Ping(func(err error) {
			e.step(&Event{Kind: EventPong, Leg: leg, Sess: sess, Err: err}, nil)
		})
	case EffectCall:
		go e.call(*x)
	case EffectStart:
		if l := e.runner(x.Leg); l != nil { // else it was let go meanwhile
			l.start()
		}
	case EffectReset:
		l := e.runner(x.Leg)
		if l == nil {
			return // let go meanwhile
		}
		e.mu.Lock()
		same := l.ctx != nil && l.sess == x.Req.Sess
		e.mu.Unlock()
		if same {
			l.leg.Reset(x.Text)
		}
	case EffectStop:
		go e.stopLeg(e.runner(x.Leg))
	}
}

func (e *Engine) runner(i LegIndex) *legRunner { return e.legs[i].Load() }

// start begins to connect, unless the leg was stopped meanwhile.
func (l *legRunner) start() {
	l.life.Lock()
	defer l.life.Unlock()
	if !l.stopped && !l.started {
		l.started = true
		l.leg.Start(l)
	}
}

// stop ends the connection for good.
func (l *legRunner) stop() {
	l.life.Lock()
	again := l.stopped
	l.stopped = true
	l.life.Unlock()
	if !again {
		l.leg.Stop()
	}
}

// send submits a request to a leg.
func (e *Engine) send(x *Effect) {
	if x.Stage != nil {
		e.stage(x)
		return
	}
	r, _ := e.requestPool.Get().(*legRequest)
	if r == nil {
		r = &legRequest{engine: e}
		r.Complete = func(_ *block.Request, err error) { r.done(err) }
	}
	r.req, r.Op, r.Flags, r.Range, r.Data, r.buf = x.Req, x.Op, x.Flags, x.Range, nil, nil
	switch x.Op {
	case block.OpRead:
		r.buf = e.buffers.get(x.Range.Len)
		r.Data = r.buf.b
	case block.OpWrite:
		b := x.Data.(*buffer)
		b.making.Wait()
		r.Data = b.b[:x.Range.Len]
	}
	e.runner(x.Leg).leg.Submit(&r.Request)
}

// done takes the leg's answer.
func (r *legRequest) done(err error) {
	e := r.engine
	ev := Event{Kind: EventDone, Req: r.req, Op: r.Op, Err: err}
	if r.buf != nil && err == nil {
		ev.Data = r.buf
	} else {
		e.buffers.put(r.buf)
	}
	r.buf, r.Data = nil, nil
	e.requestPool.Put(r)
	e.step(&ev, nil)
}

// call carries out a command to a leg or a question to the coordinators, and reports the answer.
func (e *Engine) call(x Effect) {
	defer e.running.Done()
	var reply Reply
	var err error
	if x.Command.Kind.ToLeg() {
		reply, err = e.callLeg(&x)
	} else {
		ctx, cancel := context.WithTimeout(e.root, authorityTimeout)
		reply, err = e.ask(ctx, x.Command)
		cancel()
	}
	e.step(&Event{Kind: EventAnswer, Call: x.Call, Err: err, Reply: reply}, nil)
}

// callLeg sends a command on the session for which it was decided, and on no other.
func (e *Engine) callLeg(x *Effect) (reply Reply, err error) {
	e.mu.Lock()
	l := e.runner(x.Leg)
	ctx := l.ctx
	if l.sess != x.Req.Sess {
		ctx = nil
	}
	e.mu.Unlock()
	if ctx == nil {
		return reply, fmt.Errorf("%s: the session ended: %w", x.Command.Kind, block.ErrUnreachable)
	}
	switch c := x.Command; c.Kind {
	case CommandConfig:
		err = l.leg.Config(ctx, c.Config)
	case CommandRotate:
		var r Rotation
		r, err = l.leg.Rotate(ctx)
		reply.Generation, reply.Seq = r.Generation, r.Seq
	case CommandStable:
		reply.Seq, err = l.leg.Stable(ctx, c.Generation)
	case CommandMarks:
		reply.Marked, reply.Newer, err = l.leg.Marks(ctx, c.Since)
	case CommandSums:
		var sums Checksums
		sums, err = l.leg.Checksums(ctx, c.Range, c.Medium)
		reply.Sums, reply.Bad = sums.Sums, sums.Bad
	case CommandAdopt:
		err = l.leg.Adopt(ctx, c.Range)
	case CommandVersions:
		reply.Versions, err = l.leg.Versions(ctx, c.Since)
	case CommandStamp:
		err = l.leg.Stamp(ctx, c.Versions)
	case CommandCommit:
		err = l.leg.Commit(ctx, c.UpTo)
	case CommandFree:
		err = l.leg.Free(ctx, c.UpTo)
	case CommandRecords:
		var records volume.Records
		records, err = l.leg.Records(ctx)
		reply.Records = &records
	case CommandRollback:
		err = l.leg.Rollback(ctx, c.List)
	case CommandDrop:
		err = l.leg.Drop(ctx, c.UpTo)
	case CommandDetachLeg:
		reply.Seq, err = l.leg.Detach(ctx, c.Clean)
	}
	if err != nil && ctx.Err() != nil && !errors.Is(err, block.ErrFenced) {
		err = fmt.Errorf("%s: the session ended: %w: %w", x.Command.Kind, err, block.ErrUnreachable)
	}
	return reply, err
}

// ask puts a question to the coordinators.
func (e *Engine) ask(ctx context.Context, c *Command) (reply Reply, err error) {
	a, epoch := e.opts.Authority, e.opts.Epoch
	switch c.Kind {
	case CommandRecordFence:
		var fenced Fenced
		fenced, err = a.RecordFence(ctx, epoch, c.Report, c.SetBack)
		reply.SetBack, reply.Copied = fenced.Full, fenced.Copied
	case CommandActivate:
		var act Activation
		act, err = a.Activate(ctx, epoch)
		reply.Config, reply.Lossy, reply.Clean = act.Config, act.Lossy, act.Clean
	case CommandRemoveLeg:
		reply.Config, err = a.RemoveLeg(ctx, epoch, c.LegID, c.CfgVer, c.Reason, c.SetBack, c.Seqs)
	case CommandAddLeg:
		reply.Config, err = a.AddLeg(ctx, epoch, c.CfgVer, c.LegID, c.Store, c.Instance)
	case CommandDetach:
		err = a.Detach(ctx, epoch, c.Clean, c.Seqs)
	case CommandConfirm:
		err = a.Confirm(ctx, epoch, c.CfgVer, c.Seqs)
	case CommandConfirmCopy:
		reply.Config, err = a.ConfirmCopy(ctx, epoch, c.CfgVer, c.LegID, c.Store, c.Instance, c.Copied, c.Seqs)
	}
	return reply, err
}

// stopLeg ends a leg's connection and frees its place.
func (e *Engine) stopLeg(l *legRunner) {
	defer e.running.Done()
	l.stop()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.core.known.has(l.index) {
		e.legs[l.index].CompareAndSwap(l, nil)
	}
}

// arm sets the one timer to the Core's earliest deadline; e.mu is held.
func (e *Engine) arm(now time.Duration) {
	at := e.core.Deadline()
	if at == e.armed {
		return
	}
	e.armed = at
	if at == 0 {
		e.timer.Stop()
		return
	}
	e.timer.Reset(max(at-now, 0))
}

func (e *Engine) onTimer() {
	e.mu.Lock()
	e.armed = 0
	e.stepLocked(&Event{Kind: EventTick}, nil)
}
