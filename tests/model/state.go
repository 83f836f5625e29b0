package model

import "github.com/holdfast-storage/holdfast/tests/model/disk"

// legSet is a set of legs: bit l stands for leg l.
type legSet uint8

// values is a set of contents of the block: bit v stands for the value of write v. Value 0 is what
// the block held at the start.
type values uint8

func one(leg int) legSet        { return 1 << leg }
func just(value uint8) values   { return 1 << value }
func (s legSet) has(l int) bool { return s&one(l) != 0 }

// leg is one copy of the block, in one region, with the label that describes it. Everything but
// value survives a power cut.
type leg struct {
	fence uint8  // label.fence_epoch: the only epoch that this leg serves
	cfg   uint8  // label.cfgver, written together with isr
	isr   legSet // label.isr; kept only for a restore
	value uint8  // what a read sees: the page cache
	disk  values // what a power cut may leave behind; a flush, and each write of class sync, makes it {value}
	stamp uint8  // region version: cfgver of the last write
	mark  bool   // dirty-region mark
	lossy bool   // the operating system restarted while the region was marked (open_boot differs)
	gone  bool   // for the contract alone: a power cut hit while un-flushed content was at stake

	diskMark  bool  // mark and stamp as the medium has them; they differ from the above only
	diskStamp uint8 // when a rule about their order is broken
}

// phase is where a host is in its life.
type phase uint8

const (
	phaseUnused phase = iota
	phaseAttaching
	phaseActive
	phaseDead // superseded, and nothing that it does can matter any more
)

// host is the engine of one epoch. The index in state.hosts is the epoch.
type host struct {
	phase phase

	seen      legSet // attaching: legs that it logged in to, so they are fenced at its epoch
	seenLossy legSet // attaching: those whose label said lossy at login

	ack     legSet // ack_set: legs whose answer a write needs
	read    legSet // read_set: legs that serve reads
	joining legSet // legs that get the writes, serve no reads, and are not needed for an ack
	owing   legSet // joining legs that have not answered a write
	copied  legSet // joining legs whose copy set is copied
	session legSet // legs with a session that began in the leg's present boot
	lost    legSet // legs known, from a relogin, to have lost un-flushed content

	write    uint8  // the write in flight, 0 if none
	answered legSet // legs that answered it
	flush    bool   // a guest flush is in flight
	flushed  legSet // legs that answered it

	removing  legSet // the leg whose removal is committed and whose CONFIG is not yet everywhere
	adding    legSet // the leg whose AddLeg is on its way to raft
	addingCfg uint8  // the cfgver that it is conditional on
	dup       legSet // the leg whose RemoveLeg is on its way to raft a second time
	dupCfg    uint8  // the cfgver that the request saw
	knownCfg  uint8  // newest configuration that raft told this host
	knownISR  legSet
	confirmed legSet // legs that answered CONFIG of knownCfg in this host's own session
	serving   bool   // CONFIG is everywhere and marked regions agree
	fresh     bool   // reads are still confirmed within T_read
}

// coordinator is raft's state of the volume.
type coordinator struct {
	epoch    uint8
	cfg      uint8
	isr      legSet
	attached bool           // ATTACHED, else ATTACHING
	fenced   legSet         // RecordFence of this epoch
	lossy    legSet         // those reported lossy
	granted  legSet         // legs that an older host may still read
	last     [MaxLegs]uint8 // last_isr_cfg
	joined   [MaxLegs]uint8 // joined_cfg; kept only for duplicates
	restored bool           // it came from a backup: verify_all
}

// backup is how far the one backup of a history is.
type backup uint8

const (
	backupNone backup = iota
	backupTaken
	backupRestored
)

// state is all that the parties and the wires hold. It has no pointers: it is compared and hashed as
// it stands.
type state struct {
	raft, saved coordinator
	backup      backup
	legs        [MaxLegs]leg
	hosts       [MaxEpochs + 1]host
	wire        [MaxEpochs + 1][MaxLegs]values // writes on their way, by session
	nextWrite   uint8
	restarts    uint8 // storage nodes that restarted and forgot their fence (volFence)
	duplicates  uint8
	flushes     uint8
	cuts        uint8
	explained   disk.ID // how the contract explains what the guest saw
}

// allGone reports whether every in-sync leg lost un-flushed content, so that un-flushed writes may
// be lost (protocol-flush C, contract iii).
func (s *state) allGone() bool {
	for l := range MaxLegs {
		if s.raft.isr.has(l) && !s.legs[l].gone {
			return false
		}
	}
	return s.raft.isr != 0
}

// endSessions is what a leg's restart does to all hosts.
func (s *state) endSessions(l int) {
	for e := range s.hosts {
		s.hosts[e].session &^= one(l)
		s.wire[e][l] = 0
	}
}
