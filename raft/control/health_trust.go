package control

import (
	"time"

	"github.com/holdfast-storage/holdfast/raft"
)

// judgeAuthority tells of coordinators that were restored without the cluster's CA, which is on no disk but
// their own. A cluster that has just begun gets it in a moment, so that is no finding.
func (v *View) judgeAuthority() []Finding {
	if v.State.Authority != nil || v.State.Cluster.RestoreGen == 0 {
		return nil
	}
	f := Finding{
		Severity: raft.SeverityWarning, Status: Healthy, Object: "cluster", Kind: "no_authority",
		Message: "the coordinators do not have the cluster's CA: no node can join, and no certificate is renewed",
		Cause:   "they were restored without a backup, and the CA's key was on no other disk; API tokens are gone, too",
		Next: "before certificates end, restore again: from a backup, however old, or with holdfast cluster restore " +
			"--from-legs --new-ca",
	}
	node, until, due := v.firstCertificate()
	if node == "" {
		return []Finding{f}
	}
	left := until.Sub(v.Now)
	f.Message += sprintf("; the first, of node %s, ends in %s", node, days(left))
	if left <= 0 {
		f.Message = sprintf("the coordinators do not have the cluster's CA, and the certificate of node %s ended "+
			"%s ago", node, days(-left))
	}
	if !v.Now.Before(due) {
		f.Severity, f.Status = raft.SeverityError, Degraded
	}
	return []Finding{f}
}

// firstCertificate returns the node whose certificate ends first, as far as nodes said, when that is, and
// when it should be renewed at the latest. The name is empty if none is known.
func (v *View) firstCertificate() (node string, until, due time.Time) {
	for _, n := range v.State.SortedNodes() {
		heard := v.Facts.Nodes[n.ID]
		if heard == nil || heard.Health.CertUntil.IsZero() || node != "" && !heard.Health.CertUntil.Before(until) {
			continue
		}
		h := &heard.Health
		node, until = n.Name, h.CertUntil
		due = until.Add(-min(h.CertUntil.Sub(h.CertFrom)/3, certMost))
	}
	return node, until, due
}
