package raft

// pauseDomain wants the guest of a domain to stand still, or to go on.
//
// What is wanted is the domain's, and no one run's: it outlives the host. A guest that is lost while its domain is
// paused is placed elsewhere as any other, and is not started there before the domain is resumed.
func (t *txn) pauseDomain(c *PauseDomain) *Refusal {
	d, r := t.domain(c.Name)
	if r != nil {
		return r
	}
	last := t.state.DrillOf("domain/" + d.Name)
	switch {
	case !d.Running:
		return invalid("domain %s is stopped: a guest that runs is paused and resumed", d.Name)
	case d.Paused == c.Paused:
		return nil
	case c.Paused && d.Migration != nil: // its two hosts would have to agree which of them is to hold it
		return refuse(CodeBusy, "domain %s: operation %d moves it to %s now: wait for that, or end it: "+
			"holdfast domain migrate %s --abort", d.Name, d.Migration.Operation, t.state.NodeName(d.Migration.To),
			d.Name)
	case c.Paused && last != nil && last.Running():
		return refuse(CodeBusy, "domain %s: drill %d of it goes on", d.Name, last.ID)
	}
	d = t.editDomain(d)
	d.Paused = c.Paused
	kind, what := "domain_resumed", "go on"
	if c.Paused {
		kind, what = "domain_paused", "stand still"
	}
	t.event(SeverityInfo, "domain/"+d.Name, kind, "the guest of domain %s is to %s on %s", d.Name, what,
		t.state.NodeName(d.Host))
	return nil
}
