package mirror

import (
	"context"
	"errors"

	"github.com/holdfast-storage/holdfast/volume"
)

// Authority is what the engine asks of the coordinators. Every method is idempotent and may be
// repeated after a lost reply. An error that wraps one of the sentinels below is an answer; any
// other error means that the outcome is unknown. A call should give up, with such an error, within a
// few seconds rather than wait for a coordinator: the engine asks again, and holds acks meanwhile.
type Authority interface {
	// RecordFence says that a leg was fenced by a login in this epoch, and what it reported. It is
	// also called for a leg that is about to join while the epoch is active, so that the
	// coordinators know the instance which AddLeg will name. setBack says that the engine found the leg
	// set back to an older state in this epoch. The answer says the same, of any epoch: such a leg is
	// copied in full, whatever was known of it, but for what it has of a copy that did not come to its end.
	RecordFence(ctx context.Context, e volume.Epoch, r volume.LegReport, setBack bool) (Fenced, error)
	// Activate asks to activate the epoch. It returns ErrWait (with a text that names what is
	// awaited) until it can.
	Activate(ctx context.Context, e volume.Epoch) (Activation, error)
	// RemoveLeg commits that a leg is not in sync, and returns the new configuration. With
	// ErrStaleRequest and ErrLast it returns the current one; if it does not, the engine finds it out.
	// setBack as in RecordFence; seqs as in Confirm, of the leg too.
	RemoveLeg(ctx context.Context, e volume.Epoch, leg volume.LegID, seen volume.CfgVer,
		reason string, setBack bool, seqs []volume.LegSeq) (volume.Config, error)
	// AddLeg commits that a leg is in sync, by compare-and-set on cfgver, and returns the new
	// configuration. With ErrRetry it returns the current one; if it does not, RemoveLeg settles it.
	AddLeg(ctx context.Context, e volume.Epoch, cfgver volume.CfgVer, leg volume.LegID,
		store volume.StoreID, instance uint64) (volume.Config, error)
	// ConfirmCopy commits how far the copy onto a leg has come, and a new configuration of the same list, by
	// compare-and-set on cfgver as AddLeg. With ErrRetry it returns the current configuration. ErrWait
	// means that nothing is kept of copies onto this leg. seqs as in Confirm, of the leg.
	ConfirmCopy(ctx context.Context, e volume.Epoch, cfgver volume.CfgVer, leg volume.LegID,
		store volume.StoreID, instance uint64, done Copied, seqs []volume.LegSeq) (volume.Config, error)
	// Confirm says that the configuration is durable on every leg in sync, and how far their labels
	// have come. A leg that later shows less has been set back. Losing it costs only that evidence.
	Confirm(ctx context.Context, e volume.Epoch, cfgver volume.CfgVer, seqs []volume.LegSeq) error
	// Detach ends the attachment. seqs as in Confirm.
	Detach(ctx context.Context, e volume.Epoch, clean bool, seqs []volume.LegSeq) error
}

// Fenced is the answer to RecordFence.
type Fenced struct {
	Full   bool   // nothing that the leg holds counts: it is copied in full
	Copied Copied // but for this
}

// Copied is how far a leg was copied that never was in sync: its first Upto bytes equal the legs in sync, but
// for what is newer than Since there and for what is marked on either. The zero value is not at all.
type Copied struct {
	Upto  int64
	Since volume.CfgVer
}

// Activation is the answer to Activate.
type Activation struct {
	Config volume.Config  // S', the legs to serve from
	Lossy  []volume.LegID // legs that lost their cache by this epoch's reports
	Clean  bool           // the last detach was clean
}

// The answers of an Authority that are not yes.
var (
	// ErrSuperseded means that a newer epoch was granted: the engine must stop for good.
	ErrSuperseded = errors.New("the epoch is superseded")
	// ErrLast means that the last usable leg is never removed.
	ErrLast = errors.New("the last usable leg is never removed")
	// ErrRetry means that the configuration moved on, or the leg changed: look again.
	ErrRetry = errors.New("the configuration moved on")
	// ErrStaleRequest means that the request was a duplicate of an older one.
	ErrStaleRequest = errors.New("duplicate of an older request")
	// ErrWait means not yet.
	ErrWait = errors.New("not yet")
)
