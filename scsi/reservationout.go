package scsi

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// ReservationStore keeps what is registered and reserved at a unit through a loss of power (APTPL).
// Its methods may block for I/O; they are not called at once.
type ReservationStore interface {
	// Load returns what was saved last, nil if nothing is kept.
	Load() ([]byte, error)
	// Save replaces what is kept, durably and as a whole; nil keeps nothing. It does not keep the slice.
	Save([]byte) error
}

// TaskAborter ends commands that others have under way at the unit of a command, for PREEMPT AND ABORT.
type TaskAborter interface {
	// AbortTasks sees to it that the unit's commands of the nexuses that of picks neither begin nor
	// are answered, but with TASK ABORTED. It does not block. wait returns when none of them runs.
	AbortTasks(of func(Nexus) bool) (wait func())
	// Aborted reports whether the command itself was aborted: it must change nothing any more. Does not block.
	Aborted() bool
}

// reserver holds the reservations of a unit. The data path loads one pointer, which is nil as long as
// nobody has registered or reserved anything.
type reserver struct {
	now   atomic.Pointer[reservations]
	mu    sync.Mutex // one change at a time
	store ReservationStore
	// unsure says that store failed, and may hold what nobody was told. It is guarded by mu.
	unsure bool
}

// state returns the reservations of now, never nil.
func (r *reserver) state() *reservations {
	if s := r.now.Load(); s != nil {
		return s
	}
	return &reservations{}
}

// publish makes s what commands see. The caller holds mu.
func (r *reserver) publish(s *reservations) {
	if s.empty() && s.generation == 0 {
		s = nil
	}
	r.now.Store(s)
}

// conflicts reports whether the reservation of somebody else keeps a command from running.
func (d *Disk) conflicts(op *operation, cmd *Command) bool {
	return d.keepsOut(cmd.Nexus, accessOf(op, cmd.CDB))
}

// keepsOut reports whether a reservation keeps a nexus from a class of commands.
func (d *Disk) keepsOut(n Nexus, class accessClass) bool {
	s := d.reserver.now.Load()
	return s != nil && !mayAccess(class, s.restricts(n))
}

// reserveOutLen is the data-out of PERSISTENT RESERVE OUT: its parameter list, if it can be valid.
func reserveOutLen(_ *Disk, cdb []byte) int64 {
	if n := int64(binary.BigEndian.Uint32(cdb[5:])); n <= int64(maxReserveList) {
		return n
	}
	return 0
}

// persistentReserveOut is PERSISTENT RESERVE OUT (SPC-4 §6.16). Once it has answered, whoever it kept out
// is out: a command of theirs that had begun may still be under way, unless PREEMPT AND ABORT asked
// that it has ended.
func persistentReserveOut(d *Disk, _ context.Context, cmd *Command, res *Response) {
	order, sense := parseReserveOrder(cmd.CDB, cmd.DataOut, cmd.Nexus.TPGT)
	if sense == 0 && order.persist && order.registers() && d.reserver.store == nil {
		sense = senseInvalidFieldInList // PTPL_C is zero
	}
	if sense != 0 {
		res.refuse(sense)
		return
	}
	wait, no := d.changeReservations(cmd, &order)
	switch {
	case no.status == CheckCondition:
		res.refuse(no.sense)
		return
	case no.status != Good:
		res.Status = no.status
		return
	}
	wait()
}

// changeReservations carries an order out. What is kept is kept before any command sees it: after a loss
// of power nobody has less than he was told.
//
// Invariant: an order waits only for commands that came before its change, and of those none changes
// anything afterwards. So no two orders wait for each other, and who was preempted stays out: aborting
// begins under mu, and an order that was aborted finds that out under mu.
func (d *Disk) changeReservations(cmd *Command, o *reserveOrder) (wait func(), no refusal) {
	r := &d.reserver
	r.mu.Lock()
	defer r.mu.Unlock()
	if cmd.aborted() {
		return nil, refusedFor(senseAborted)
	}
	before := r.state()
	change, no := before.carryOut(cmd.Nexus, o)
	if no != (refusal{}) {
		return nil, no
	}
	if err := r.keep(before, change.next, d.options.Serial); err != nil {
		return nil, refusedFor(senseInternalFailure)
	}
	r.publish(change.next)
	for _, n := range change.tell {
		d.attention.raise(n.nexus, n.what)
	}
	// After the abort: a PREVENT of theirs that was aborted too late to see it counts for nothing.
	defer d.removal.allow(change.allow)
	if len(change.ended) == 0 || cmd.Tasks == nil {
		return func() {}, refusal{}
	}
	ended := make(map[Nexus]bool, len(change.ended))
	for _, n := range change.ended {
		ended[n] = true
	}
	return cmd.Tasks.AbortTasks(func(n Nexus) bool { return ended[n] }), refusal{}
}

// keep saves what outlives a loss of power, if that has changed. When it fails the change does not take place:
// what is kept is put back as it was, now or, if that fails too, with the next change. The caller holds mu.
func (r *reserver) keep(before, after *reservations, serial string) error {
	if r.store == nil {
		return nil
	}
	was, err := keptOf(before, serial)
	if err != nil {
		return err
	}
	is, err := keptOf(after, serial)
	if err != nil || !r.unsure && bytes.Equal(was, is) {
		return err
	}
	if err = r.store.Save(is); err == nil {
		r.unsure = false
		return nil
	}
	r.unsure = r.store.Save(was) != nil
	return err
}

// keptOf returns what outlives a loss of power, nil if nothing does.
func keptOf(s *reservations, serial string) ([]byte, error) {
	if !s.persist || len(s.registered) == 0 {
		return nil, nil
	}
	return encodeReservations(s, serial)
}

// restoreReservations takes up what was kept through a loss of power.
func (d *Disk) restoreReservations() error {
	if d.reserver.store == nil {
		return nil
	}
	kept, err := d.reserver.store.Load()
	if err != nil || len(kept) == 0 {
		return err
	}
	s, err := decodeReservations(kept, d.options.Serial)
	if err != nil {
		return err
	}
	d.reserver.publish(s)
	return nil
}
