// Package sim is the deterministic simulation of a volume: the real coordinators' state, the real cores
// of the legs and the real core of the engine, in one goroutine, with virtual time and faults that
// depend on a seed alone. A run that goes wrong is replayed by its seed.
//
//	 guests ──▶ hosts (mirror.Core) ──▶ sessions ──▶ nodes (leg.Core over a page cache over a medium)
//	   │          │  own clock, pause,    delay, cut     process, boot, power, full, rot, failing,
//	   │          │  die, relogin         one way, late  lying, set back, replaced
//	   │          └──▶ coordinators (raft.State, WaitClock): elections, lost, late and double commands
//	   ▼
//	history ──▶ a disk with a write cache?      every step ──▶ the invariants of protocol §4
//
// [Run] runs one seed: it sets a volume up, lets guests work while things go wrong, ends all faults, waits
// until the volume is well, and compares all legs. A [Violation] names the promise that was broken and the
// command that replays it.
//
// What is real is what decides: raft.State.Apply, raft.WaitClock, leg.Core, leg.StartLeg, journal.Core,
// mirror.Core. What is simulated is what carries: network, disks, clocks, processes, and the thin adapters between
// the cores. Those have tests of their own with real sockets and files (tests/system, and beside the code).
//
// [Rules] lists every safety rule that can be broken on purpose; [Hunt] looks for a seed that shows it.
//
// A volume is a mirror or a set of parity (layouts.go). The legs of a set have a journal: its decisions are those
// of the real core, its file is a page cache over a medium that keeps what it likes of what was not synced
// (journalfile.go), and setoracle.go says what holds of a set.
//
// The package knows nothing of several volumes: volumes share no state but raft's.
package sim
