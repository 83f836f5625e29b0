package scsi

// Watcher is what a LogicalUnit implements that keeps state of nexuses. It is optional: the target
// asserts the type. Its methods do not block and may be called while commands run.
type Watcher interface {
	// NexusLost says that the nexus has ended: its session was closed, dropped or replaced.
	NexusLost(Nexus)
	// Unreported says that a command of the nexus ended with this unit attention, and that the nexus is not
	// told: somebody else aborted the command meanwhile.
	Unreported(Nexus, Sense)
	// Reset says that the unit was reset by LOGICAL UNIT RESET or TARGET WARM RESET (SAM-5 §6.3.3).
	Reset()
}

var _ Watcher = (*Disk)(nil)
