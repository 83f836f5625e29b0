package control

import (
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

const (
	// skewMost is how far a node's clock may be off the leader's, or be set, without a word.
	skewMost = 200 * time.Millisecond
	// stepNews is for how long a step of a clock is a finding.
	stepNews = 10 * time.Minute

	// A certificate is renewed at two thirds of its life. One that has only this part of it left was not.
	certPart    = 6
	certMost    = 30 * 24 * time.Hour // and never earlier than this before its end
	certSevere  = 4                   // part of that time that is left when it becomes an error
	engineBytes = 256 << 20           // of memory, more than an engine should ever need
)

// judgeSelf looks at what a node says of its own clock and certificate.
func (v *View) judgeSelf(n *raft.Node, heard *NodeFact) []Finding {
	out := append(v.judgeClock(n, heard), v.judgeCert(n, &heard.Health)...)
	return append(out, v.judgeCertFile(n, &heard.Health)...)
}

func (v *View) judgeClock(n *raft.Node, heard *NodeFact) []Finding {
	var out []Finding
	h := &heard.Health
	const why = "events, certificates and since-whens are by these clocks; no data depends on them"
	if off := max(h.ClockOffset, -h.ClockOffset) - h.ClockBound; h.ClockLeader != (volume.NodeID{}) && off > skewMost {
		direction := "ahead of"
		if h.ClockOffset < 0 {
			direction = "behind"
		}
		out = append(out, Finding{
			Severity: raft.SeverityWarning, Status: Healthy, Object: "node/" + n.Name, Kind: "clock_skew",
			Message: sprintf("the clock of node %s is %s %s that of %s", n.Name,
				max(h.ClockOffset, -h.ClockOffset).Round(time.Millisecond), direction, v.State.NodeName(h.ClockLeader)),
			Cause: sprintf("measured to within %s by its heartbeats; %s", h.ClockBound.Round(time.Millisecond), why),
			Next:  "have both nodes keep time by NTP (chrony, systemd-timesyncd)",
		})
	}
	age := h.ClockStepAge + v.Now.Sub(heard.Heard)
	if max(h.ClockStep, -h.ClockStep) > skewMost && age < stepNews {
		out = append(out, Finding{
			Severity: raft.SeverityWarning, Status: Healthy, Object: "node/" + n.Name, Kind: "clock_stepped",
			Message: sprintf("the clock of node %s was set by %s", n.Name, h.ClockStep.Round(time.Millisecond)),
			Cause:   "somebody or something set it instead of slewing it; " + why, Since: v.Now.Add(-age),
			Next: sprintf("nothing is to be done; it is told for %s", stepNews),
		})
	}
	return out
}

// judgeCert tells of a certificate that should have been renewed by now.
func (v *View) judgeCert(n *raft.Node, h *NodeHealth) []Finding {
	if h.CertUntil.IsZero() {
		return nil
	}
	left := h.CertUntil.Sub(v.Now)
	warn := min(h.CertUntil.Sub(h.CertFrom)/certPart, certMost)
	if left > warn {
		return nil
	}
	f := Finding{
		Severity: raft.SeverityWarning, Status: Healthy, Object: "node/" + n.Name, Kind: "cert_expiring",
		Message: sprintf("the certificate of node %s ends in %s", n.Name, days(left)),
		Cause:   "it should have been renewed by now, so renewing it fails: the log of the node says why",
		Next:    "when it ends nobody talks to the node any more: issue a new one in time",
		Since:   h.CertUntil.Add(-warn),
	}
	if left <= warn/certSevere {
		f.Severity, f.Status = raft.SeverityError, Degraded
	}
	if left <= 0 {
		f.Message = sprintf("the certificate of node %s ended %s ago", n.Name, days(-left))
		f.Next = "connections that are open go on; a new one is refused: issue a new certificate"
	}
	return []Finding{f}
}

// judgeCertFile tells of a certificate that was replaced by what is of no use.
func (v *View) judgeCertFile(n *raft.Node, h *NodeHealth) []Finding {
	if h.CertFault == "" {
		return nil
	}
	return []Finding{{
		Severity: raft.SeverityWarning, Status: Healthy, Object: "node/" + n.Name, Kind: "cert_unusable",
		Message: sprintf("the file of node %s's certificate is of no use, and the one from before is in use", n.Name),
		Cause:   h.CertFault,
		Next: "put the node's own certificate back, or have it join again with a new token, before its daemon is " +
			"started anew: that one does not start with this file",
	}}
}

func days(d time.Duration) string {
	if d >= 48*time.Hour {
		return sprintf("%d days", int(d.Hours()/24))
	}
	return d.Round(time.Minute).String()
}

// judgeEngine looks at the process that serves a volume.
func (v *View) judgeEngine(vol *raft.Volume) []Finding {
	e := v.engine(vol)
	if e == nil || e.State.over() {
		return nil
	}
	var out []Finding
	host := v.State.NodeName(e.Node)
	if heard := v.Facts.Nodes[e.Node]; heard != nil && heard.Health.Build != "" && e.Build != "" &&
		heard.Health.Build != e.Build {
		out = append(out, Finding{
			Severity: raft.SeverityInfo, Status: Healthy, Object: "volume/" + vol.Name, Kind: "engine_build",
			Message: sprintf("the engine of volume %s runs build %s", vol.Name, e.Build),
			Cause: sprintf("the daemon of %s was upgraded to %s, and engines go on over that", host,
				heard.Health.Build),
			Next: "it runs the new one from the next attach on, as after holdfast domain failover",
		})
	}
	if e.MemoryBytes > engineBytes {
		out = append(out, Finding{
			Severity: raft.SeverityWarning, Status: Healthy, Object: "volume/" + vol.Name, Kind: "engine_memory",
			Message: sprintf("the engine of volume %s on %s has %d MiB of memory", vol.Name, host, e.MemoryBytes>>20),
			Cause:   "that is more than it should ever need",
			Next:    "please report it; a new attach starts another one",
		})
	}
	return out
}
