package mirror

import (
	"context"
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// Leg is one leg as the engine reaches it: a device on some storage node, with the in-band commands
// that carry the protocol. The node package adapts an iSCSI session to it.
//
// A leg has at most one session at a time. Requests and commands travel on the current one; with
// none they end at once with block.ErrUnreachable. When a session ends, everything that was under
// way on it completes with block.ErrUnreachable (or block.ErrFenced), then LegSink.Down is called,
// and only when Down has returned is a new login tried. The engine decides what is sent again: the
// adapter itself never asks a leg twice.
//
// Every command with a context is bound to one session by it: the engine ends the context inside
// Down. The adapter must first take hold of its session and then test ctx.Err(), so that a command
// that was decided for one session never travels on a later one. (A CONFIG that reached a leg
// after a reboot would erase the evidence that it lost its cache.)
type Leg interface {
	// Submit sends one request; it must not wait for its I/O. Data belongs to the leg until
	// Complete, which is called exactly once, whatever happens.
	block.Queue

	// ID names the leg.
	ID() volume.LegID

	// Start begins to connect and keeps reconnecting with back-off until Stop. Every completed
	// login is a fence at the leg and is reported to sink with the label it answered. It does not
	// block. The sink's methods are called one at a time for a leg.
	Start(sink LegSink)

	// Reset ends the current session, if there is one, as if its connection were lost; reconnecting
	// goes on. The engine asks for it when a leg no longer answers, and before a leg that left the
	// in-sync list joins again. It does not block.
	Reset(reason string)

	// Config makes (cfgver, in-sync list) durable on the leg and opens it for I/O. The leg stamps
	// its marked regions with cfgver.
	Config(ctx context.Context, c volume.Config) error

	// Rotate starts a new window of marks and returns the generation of the one that ended.
	Rotate(ctx context.Context) (Rotation, error)
	// Stable clears the marks of generations up to gen, and returns Progress of the label that is durable then.
	Stable(ctx context.Context, gen uint64) (seq uint64, err error)
	// Marks returns the marked ranges, merged and ascending, and the ranges whose version is
	// newer than since. Version 0 asks for everything that was ever written.
	Marks(ctx context.Context, since volume.CfgVer) (marked, newer []block.Range, err error)
	// Checksums returns one CRC32C per 4 KiB block of r, in order, of what the blocks hold now, and
	// which of them are not what was written last. Blocks that were never written have the checksum
	// of zeroes. With medium the bytes are read from the medium, not from the leg's page cache.
	Checksums(ctx context.Context, r block.Range, medium bool) (Checksums, error)
	// Adopt makes what the bad blocks of r hold now count as what was written: after a power cut a
	// block of a marked region may be old or new, or a mix of its sectors, and when no leg has a whole
	// one, one of them has to do. The leg refuses it where nothing is marked.
	Adopt(ctx context.Context, r block.Range) error
	// Versions returns the regions whose version is newer than since, ascending.
	Versions(ctx context.Context, since volume.CfgVer) ([]volume.VersionRun, error)
	// Stamp makes versions durable where they are newer than the leg's own: a joining leg that was
	// compared with another takes over what the other knows of its regions (I17).
	Stamp(ctx context.Context, runs []volume.VersionRun) error
	// Stage sends one record to a leg of parity; it must not wait for its I/O. The request belongs to the leg until
	// Complete, which is called exactly once, whatever happens. Legs of mirrors are asked nothing of records.
	Stage(r *StageRequest)
	// Commit commits the leg's records up to a transaction, durably, and writes them home (docs/safety/journal.md).
	Commit(ctx context.Context, upTo volume.Transaction) error
	// Free makes home durable and forgets the records up to a transaction.
	Free(ctx context.Context, upTo volume.Transaction) error
	// Records returns the records that are not freed.
	Records(ctx context.Context) (volume.Records, error)
	// Rollback durably takes back all of the list, or nothing.
	Rollback(ctx context.Context, list []volume.Transaction) error
	// Drop durably forgets every record, and that the leg has nothing to say of transactions up to floor.
	Drop(ctx context.Context, floor volume.Transaction) error
	// Detach makes {closed, clean} durable: the epoch is spent on this leg. The session may end. It returns
	// Progress of the label that is durable then.
	Detach(ctx context.Context, clean bool) (seq uint64, err error)

	// Ping asks for a sign of life; done is called exactly once, from any goroutine.
	Ping(done func(error))

	// Stop ends the session and the reconnecting. Pending requests complete with an error. No
	// method of the sink is called after Stop has returned.
	Stop()
}

// Rotation is the answer to ROTATE.
type Rotation struct {
	Generation uint64 // of the window that ended
	Seq        uint64 // Progress of the label that is durable now; it never decreases
}

// Checksums is the answer to CHECKSUMS.
type Checksums struct {
	Sums []uint32 // one for each block
	Bad  []uint32 // indices into Sums of blocks that are not what was written last, ascending
}

// LegSink hears of a leg's sessions.
type LegSink interface {
	// Up says that a login completed and what the leg reported with it. Requests may be submitted
	// from inside the call on (the leg itself refuses I/O before CONFIG).
	Up(leg volume.LegID, report volume.LegReport)
	// Down says that the session ended, or that a login attempt failed. cause wraps one of
	// block.ErrFenced, block.ErrFailed, block.ErrUnreachable.
	Down(leg volume.LegID, cause error)
}

// Clock gives the time since boot, including time spent suspended (CLOCK_BOOTTIME).
type Clock interface {
	Now() time.Duration
}
