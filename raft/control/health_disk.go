package control

import (
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
)

const (
	// slowAtLeast is what a check read takes at the least before a disk counts as slow, whatever others do.
	slowAtLeast = 20 * time.Millisecond
	slowFactor  = 10 // times what it usually takes, or what the others take

	fillWarning, fillError = 0.10, 0.03 // of a store that is free
)

// judgeStore looks at one store of a node and at the disk below it.
func (v *View) judgeStore(n *raft.Node, st StoreFact) []Finding {
	if st.Error != "" {
		return []Finding{{
			Severity: raft.SeverityError, Status: Degraded, Object: "node/" + n.Name, Kind: "store_error",
			Message: sprintf("store %s of node %s cannot be used", st.Name, n.Name), Cause: st.Error,
			Next: sprintf("mend it, or holdfast node replace %s NEW", n.Name),
		}}
	}
	out := v.judgeSpace(n, st)
	if st.Disk == nil {
		return out
	}
	return append(out, v.judgeDisk(n, st, st.Disk)...)
}

func storeObject(n *raft.Node, st StoreFact) string { return "store/" + n.Name + "/" + st.Name }

// judgeSpace tells of a store that fills up.
func (v *View) judgeSpace(n *raft.Node, st StoreFact) []Finding {
	if st.TotalBytes <= 0 {
		return nil
	}
	free := float64(st.FreeBytes) / float64(st.TotalBytes)
	if free >= fillWarning {
		return nil
	}
	f := Finding{
		Severity: raft.SeverityWarning, Status: Healthy, Object: storeObject(n, st), Kind: "store_full",
		Message: sprintf("store %s of node %s has %.0f %% of its space free", st.Name, n.Name, 100*free),
		Cause:   "legs fill up as guests write, and other files may be on the same file system",
		Next: "a leg that finds no room leaves the in-sync list: add a store or a node, or delete what is not " +
			"needed",
	}
	if free < fillError {
		f.Severity, f.Status = raft.SeverityError, Degraded
	}
	return []Finding{f}
}

// judgeDisk tells of a disk that fails, says that it will, or has become slow.
func (v *View) judgeDisk(n *raft.Node, st StoreFact, d *DiskFact) []Finding {
	var out []Finding
	object, name := storeObject(n, st), sprintf("the disk of store %s on node %s", st.Name, n.Name)
	if d.Device != "" {
		name = sprintf("%s (%s)", name, d.Device)
	}
	replace := sprintf("holdfast node replace %s NEW before it dies", n.Name)
	if len(d.SmartFaults) > 0 {
		f := Finding{
			Severity: raft.SeverityWarning, Status: Healthy, Object: object, Kind: "disk_failing",
			Message: name + " wears out", Cause: "by SMART " + strings.Join(d.SmartFaults, ", "), Next: replace,
		}
		if d.SmartFailing {
			f.Severity, f.Status, f.Message = raft.SeverityError, Degraded, name+" is about to fail"
		}
		out = append(out, f)
	}
	if d.SmartError != "" {
		out = append(out, Finding{
			Severity: raft.SeverityWarning, Status: Healthy, Object: object, Kind: "disk_unknown",
			Message: name + " does not say how it is", Cause: d.SmartError,
			Next: "it is asked again every hour, and what it said last stays known: look why, a drive that hangs may " +
				"be about to fail",
		})
	}
	if failed := d.FailedChecks + d.KernelErrors; failed > 0 {
		out = append(out, Finding{
			Severity: raft.SeverityWarning, Status: Healthy, Object: object, Kind: "disk_errors",
			Message: sprintf("%s had %d I/O errors since the daemon's start", name, failed),
			Cause: sprintf("%d check reads failed, the kernel counted %d errors", d.FailedChecks,
				d.KernelErrors),
			Next: "engines heal what they can from other legs: scrub its volumes, and " + replace,
		})
	}
	if why := v.slow(n, st, d); why != "" {
		out = append(out, Finding{
			Severity: raft.SeverityWarning, Status: Healthy, Object: object, Kind: "disk_slow",
			Message: sprintf("%s takes %s for a read", name, d.Read.Round(time.Millisecond)), Cause: why,
			Next: "engines take a leg out that keeps the guest waiting: look at what else uses the disk, and at its " +
				"health",
		})
	}
	return out
}

// slow returns why a disk counts as slow, "" if it does not: beside its own past, or beside the other stores.
func (v *View) slow(n *raft.Node, st StoreFact, d *DiskFact) string {
	if d.Read < slowAtLeast {
		return ""
	}
	if d.Usual > 0 && d.Read > slowFactor*d.Usual {
		return sprintf("it usually took %s", d.Usual.Round(10*time.Microsecond))
	}
	var others []time.Duration
	for id, heard := range v.Facts.Nodes {
		for _, o := range heard.Stores {
			if (id != n.ID || o.ID != st.ID) && o.Disk != nil && o.Disk.Read > 0 {
				others = append(others, o.Disk.Read)
			}
		}
	}
	if len(others) < 2 {
		return "" // one other says nothing of what is usual
	}
	slices.Sort(others)
	if median := others[len(others)/2]; d.Read > slowFactor*median {
		return sprintf("the other stores take %s", median.Round(10*time.Microsecond))
	}
	return ""
}
