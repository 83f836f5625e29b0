package control

import "github.com/holdfast-storage/holdfast/raft"

// FindingKind describes one kind of finding.
type FindingKind struct {
	Kind     string // as in Finding
	Severity string // the worst that it has
	Means    string // a sentence
}

// FindingKinds returns every kind of finding that there is. A test holds that the table is whole, that a test
// provokes each kind, and that docs/operations.md says of each what to do.
func FindingKinds() []FindingKind {
	const info, warning, severe = raft.SeverityInfo, raft.SeverityWarning, raft.SeverityError
	return []FindingKind{
		{"unreachable", severe, "no node answers the command line"},
		{"no_quorum", severe, "no coordinator leads"},
		{"failover_braked", severe, "too many hosts vanished at once for a failover"},
		{"few_coordinators", warning, "fewer nodes vote than could"},
		{"even_coordinators", warning, "an even number of coordinators votes"},
		{"coordinator_missing", severe, "a coordinator has a vote but never joined"},
		{"coordinator_silent", severe, "a coordinator does not follow the leader"},
		{"no_authority", severe, "the coordinators were restored without the cluster's CA"},
		{"restoring", warning, "the coordinators were restored, and an operator has not said that every leg was found"},

		{"node_pending", info, "a node waits to take another's place"},
		{"node_retiring", info, "a node is being replaced or removed"},
		{"node_drained", info, "a node is emptied and stays a member"},
		{"node_silent", severe, "a node's heartbeats stopped"},
		{"daemon_silent", warning, "a node's engines answer and its daemon does not"},
		{"store_error", severe, "a store cannot be used"},
		{"store_full", severe, "a store fills up"},
		{"disk_failing", severe, "SMART says that a disk wears out or is about to fail"},
		{"disk_unknown", warning, "SMART of a disk could not be read although there is some"},
		{"disk_errors", warning, "a disk had I/O errors"},
		{"disk_slow", warning, "a disk is much slower than it was, or than others"},
		{"clock_skew", warning, "a node's clock is off the leader's"},
		{"clock_stepped", warning, "a node's clock was set"},
		{"cert_expiring", severe, "a node's certificate was not renewed in time"},
		{"cert_unusable", warning, "the file of a node's certificate was replaced by what is of no use"},

		{"volume_frozen", severe, "a label contradicts the coordinators"},
		{"volume_provisioning", warning, "a volume is not made yet"},
		{"volume_degraded", warning, "redundancy is missing, one more failure is survived"},
		{"volume_at_risk", severe, "the next failure stops the volume"},
		{"volume_down", severe, "too few legs can be read"},
		{"volume_not_serving", severe, "an attached volume does not serve"},
		{"volume_held", severe, "a volume's answers wait"},
		{"blocks_unreadable", severe, "a scrub found blocks that no leg can read"},
		{"legs_diverged", severe, "a scrub found legs that differ"},
		{"blocks_healed", warning, "a scrub rewrote bad blocks"},
		{"scrub_overdue", warning, "the schedule of scrubs is not kept"},
		{"engine_build", info, "an engine runs an older build than its daemon"},
		{"engine_memory", warning, "an engine has more memory than it should need"},
		{"guest_read_errors", severe, "a guest got read errors"},
		{"export_not_open", warning, "an export beside the unix socket does not open"},

		{"leg_missing", severe, "a leg's data is gone"},
		{"leg_quarantined", severe, "a leg contradicts the coordinators"},
		{"leg_set_back", severe, "a leg shows an older state than it had"},
		{"leg_bad", severe, "a leg cannot be read"},
		{"leg_stale", warning, "a leg has missed writes"},
		{"leg_rebuilding", warning, "a leg is being filled"},
		{"leg_medium_errors", warning, "a leg's disk loses blocks"},

		{"job_stalled", warning, "a copy, move, scrub or other long job makes no progress"},
		{"domain_paused", info, "a domain's guest stands still, by order"},
		{"image_gone", severe, "no node that answers has a version of an image"},
		{"image_few_copies", warning, "fewer nodes than should have a version of an image"},
		{"domain_not_running", severe, "a domain that is wanted does not run"},
	}
}
