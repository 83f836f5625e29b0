package volume

// Label is what a leg durably says of itself (protocol §1.2). Its bytes at rest are in
// docs/ondisk.md; AppendLabel and ParseLabel are the codec, shared by the leg, the in-band READ
// LABEL and rescue.
//
// Invariant: FenceEpoch never decreases across restarts (I2).
// Invariant: Config equals one committed raft configuration (I21).
type Label struct {
	SlotSeq     uint64     // grows with every write of a label slot; the higher valid slot counts
	Incarnation ClusterID  // of the cluster that provisioned the leg
	VolumeID    ID         //
	VolumeName  string     // when it was provisioned; for rescue, never for a decision
	LegID       LegID      //
	StoreID     StoreID    // the store it was provisioned on; another store's copy is refused
	DataGen     UUID       // the volume's lineage; changes only by an operator's ForcePromote
	Layout      Layout     //
	Slot        int        // position in the layout, from 0
	Durability  Durability //
	SizeBytes   int64      // of the volume; LegBytes is what the leg holds of it
	FenceEpoch  Epoch      // lower epochs are refused for ever
	AttachID    AttachID   // the attachment of FenceEpoch; zero before the first login
	Admit       bool       // CONFIG of FenceEpoch is durable: I/O is admitted
	Closed      bool       // DETACH of FenceEpoch is durable: the epoch is spent
	Clean       bool       // that DETACH was clean: flushed and STABLE everywhere
	Config      Config     // the newest configuration a host brought
	// Progress grows with every step that a host had made durable: a CONFIG, a STABLE that cleared
	// something, a DETACH. Logins and starts of the node leave it alone, so a leg that was set back to an
	// older state shows less than hosts know of, however often it is logged in to since.
	Progress uint64
	CrashGen uint64 // grows with every start of the node that found the leg open and marked
	OpenBoot UUID   // identity of the boot and mount under which the leg was opened
	Marked   bool   // some region is marked; without it no mark of the region file counts
	// Mixed is only ever set with Marked: some marks are of an earlier boot than OpenBoot, in which a CONFIG
	// took them over. Until the STABLE that ends them a block of a marked region that is not what was written
	// last may be one that a power cut tore, and says nothing of the cache of this boot.
	Mixed bool
}

// LegBytes returns how many bytes of data the leg holds.
func (l Label) LegBytes() int64 { return l.Layout.LegBytes(l.SizeBytes) }

// LegReport is what a leg answers to the login that fenced it and to every login after it
// (protocol-flush A).
type LegReport struct {
	Label     Label  `json:"label"`
	BootID    UUID   `json:"boot_id"`  // identity of the boot and mount now
	Instance  uint64 `json:"instance"` // random, per start of the node's process
	Lossy     bool   `json:"lossy"`    // marks are set and the cache that they were made under is lost
	MarksHash uint64 `json:"marks_hash"`
	// Changes counts the writes and zeroes that this instance has carried out. It lives in memory only:
	// a machine that was set back to a saved moment, memory included, answers with too few.
	Changes uint64 `json:"changes"`
}
