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
	Rotate(ctx context.Context) (uint64, error)
	// Stable clears the marks of generations up to gen.
	Stable(ctx context.Context, gen uint64) error
	// Marks returns the marked ranges, merged and ascending, and the ranges whose version is
	// newer than since. Version 0 asks for everything that was ever written.
	Marks(ctx context.Context, since volume.CfgVer) (marked, newer []block.Range, err error)
	// Checksums returns one CRC32C per 4 KiB block of r, in order. Blocks that were never written
	// have the checksum of zeroes.
	Checksums(ctx context.Context, r block.Range) ([]uint32, error)
	// Detach makes {closed, clean} durable: the epoch is spent on this leg. The session may end.
	Detach(ctx context.Context, clean bool) error

	// Ping asks for a sign of life; done is called exactly once, from any goroutine.
	Ping(done func(error))

	// Stop ends the session and the reconnecting. Pending requests complete with an error. No
	// method of the sink is called after Stop has returned.
	Stop()
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
