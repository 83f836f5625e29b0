package sim

// Invariant is one invariant of protocol §4 and how it is held.
type Invariant struct {
	Number int
	// Here is the evaluation in the simulation; empty if there is none.
	Here string
	// Elsewhere says what shows it instead.
	Elsewhere string
	// Tests name what shows it besides, or instead: package.Test, a script, or rule#name for a rule that
	// Hunt finds when it is broken. Those of what is not part of this version are none.
	Tests []string
}

// Invariants returns the table of all invariants of protocol §4.
func Invariants() []Invariant {
	return []Invariant{
		{1, "each command that raft applies", "", nil},
		{2, "each label that becomes durable", "", nil},
		{3, "each request that passes a leg's gate", "", nil},
		{4, "each change of data", "", nil},
		{5, "each login that is answered, and each Activate", "", nil},
		{6, "", "the decision table of logins, and random events at the cores",
			[]string{"leg.TestLoginTable_isTotal", "leg.TestCore_randomEvents"}},
		{7, "each start of an engine", "", nil},
		{8, "each answer to a write or flush: on all legs in sync, durably where that was promised", "", nil},
		{9, "each step of the current engine in which a leg's state changed", "", nil},
		{10, "each step of the current engine in which a leg's state changed", "", nil},
		{11, "each answer to a write", "", nil},
		{12, "each command that raft applies", "", nil},
		{13, "each AddLeg that is committed", "", nil},
		{14, "each request that passes a leg's gate", "", nil},
		{15, "each read that is answered", "", nil},
		{16, "each mark that is cleared on a medium", "", nil},
		{17, "each change of the in-sync list", "", nil},
		{18, "", "follows from I11 and I17 here; broken, it is found", []string{"rule#noRestamp", "rule#pushISROnly"}},
		{19, "each label that becomes durable", "", nil},
		{20, "the end of a run whose volume is frozen: nothing was read in the new epoch", "", nil},
		{21, "each label that becomes durable", "", nil},
		{22, "each node that reports the store of another; identities are random here", "",
			[]string{"raft/testdata/volume.txt", "node/storage.TestStores_belongToOneNodeAndOneName"}},
		{23, "", "the node's orders and what it keeps without one",
			[]string{"node/storage.TestOrders_provisionKeepDelete",
				"node/storage.TestKeep_aMissingLegIsLostAndNeverMade"}},
		{24, "each answer to a guest, each mark that is cleared, each AddLeg, each epoch that is served, and the " +
			"end of each run of a set of parity: what k legs give is what the others hold", "", nil},
		{25, "each COMMIT and each FREE of a leg of parity, by what the other legs of Q have durably", "", nil},
		{26, "the history of each block over all epochs, at the end of each run of a set of parity", "",
			[]string{"rule#anyStaged", "rule#backAlone"}},
		{27, "each read that is answered", "", nil},
		{28, "each answer of a leg, to a request, a command or a login", "",
			[]string{"leg.TestFlush_failureIsForGood"}},
		{29, "each read that is answered: none that began after a newer epoch became active", "", nil},
		{30, "", "refused and failed commands at the target and its disk",
			[]string{"scsi.TestReadWrite_refused", "scsi.TestReadOnly_everyChangeIsRefused",
				"scsi.TestErrors_ofTheDeviceAreReported", "target.TestRejects"}},
		{31, "the end of each run", "", nil},
		{32, "", "snapshots are not part of this version", nil},
		{33, "", "volumes do not grow in this version", nil},
		{34, "the history of each block over all epochs, at the end of each run", "", nil},
		{35, "the end of each run: all legs in sync, equal, unmarked, every request answered", "", nil},
	}
}
