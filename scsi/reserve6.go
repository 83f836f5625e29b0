package scsi

import "context"

// reserve6 is RESERVE (6) (SPC-2 §7.21): the whole unit for one nexus, until it releases the unit, its
// session ends or the unit is reset. Registrations exclude it. SPC-2 §5.5.1 keeps the two kinds apart for
// every nexus; the holder may still ask what is registered, which is nothing: tools do at every start.
func reserve6(d *Disk, _ context.Context, cmd *Command, res *Response) {
	const thirdParty, extent = 0x10, 0x01
	if cmd.CDB[1]&(thirdParty|extent) != 0 {
		res.refuse(senseInvalidFieldInCDB)
		return
	}
	r := &d.reserver
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state()
	if cmd.aborted() {
		res.refuse(senseAborted)
		return
	}
	if len(s.registered) > 0 || s.restricts(cmd.Nexus) != unrestricted {
		res.Status = ReservationConflict
		return
	}
	next := s.clone()
	holder := cmd.Nexus
	next.simple = &holder
	r.publish(next)
}

// release6 is RELEASE (6) (SPC-2 §7.18). A nexus that does not hold the unit changes nothing.
func release6(d *Disk, _ context.Context, cmd *Command, res *Response) {
	const thirdParty, extent = 0x10, 0x01
	if cmd.CDB[1]&(thirdParty|extent) != 0 {
		res.refuse(senseInvalidFieldInCDB)
		return
	}
	if len(d.reserver.state().registered) > 0 {
		res.Status = ReservationConflict
		return
	}
	d.endSimple(func(holder Nexus) bool { return holder == cmd.Nexus })
}

// endSimple ends a RESERVE (6) whose holder matches.
func (d *Disk) endSimple(match func(Nexus) bool) {
	r := &d.reserver
	if s := r.now.Load(); s == nil || s.simple == nil {
		return // whoever could make one has ended: there is no need to wait for mu
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state()
	if s.simple == nil || !match(*s.simple) {
		return
	}
	next := s.clone()
	next.simple = nil
	r.publish(next)
}
