package mirror

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// BlockBytes is the unit in which legs are read, written, locked and compared.
const BlockBytes = 4096

// MaxLegs is how many legs one engine can know at once: the widest layout, each leg with a replacement under way.
const MaxLegs = 2 * volume.MaxSlots

// Options are what an engine is made of. Every field without "zero" in its text is required.
type Options struct {
	Name       string            // the volume's name, for messages
	Epoch      volume.Epoch      // of the grant
	AttachID   volume.AttachID   // of the grant
	SizeBytes  int64             // of the volume, whole 4 KiB blocks
	Layout     volume.Layout     // zero = a mirror
	Durability volume.Durability // zero = flush
	Legs       []LegSpec         // every leg of the volume, in sync or not; at least one
	Authority  Authority         //
	Clock      Clock             // CLOCK_BOOTTIME
	Timing     Timing            // zero fields take the defaults
	Observer   Observer          // zero callbacks are not called
	Logger     *slog.Logger      // zero = silent; Info carries state transitions only
}

// LegSpec is one leg of the volume as the ticket names it.
type LegSpec struct {
	// ID names the leg.
	ID volume.LegID
	// Leg reaches it; its ID is ID. SetLegs takes nil for a leg that the engine already knows.
	Leg Leg
	// Slot is its place in the layout, as in its label. A leg and the one that replaces it have the same.
	Slot int
	// InSync says that raft has it in the in-sync list: Attach waits a moment for its login.
	InSync bool
	// Since is the last configuration in which raft had the leg in sync; zero = never.
	Since volume.CfgVer
	// Join says that the engine is to bring the leg in sync when it is not and can be reached.
	Join bool
	// Retiring says that the leg leaves once the leg that replaces it is in sync.
	Retiring bool
	// Replaces is the retiring leg whose place this one takes; zero = none.
	Replaces volume.LegID
}

// Timing are the engine's deadlines and intervals (protocol-flush F, "Defaults"). They decide
// liveness; none decides whether a write is safe.
type Timing struct {
	Ping        time.Duration // between signs of life of a quiet leg; zero = 0.5 s
	TRead       time.Duration // a read completes only if every leg confirmed more recently; zero = 2 s
	SlowLeg     time.Duration // for how long requests may wait for a leg alone before it leaves; zero = 2.5 s
	SlowFlush   time.Duration // the same for flush, FUA and zero, which wait for a medium; zero = 15 s
	Challenge   time.Duration // between reads of the medium that no guest asked for; zero = 10 s
	LegLost     time.Duration // T_leg: relogin and resend happen within this; zero = 3 s
	FenceWait   time.Duration // how long Attach waits for the in-sync legs to log in; zero = 2 s
	Retry       time.Duration // between repeated questions to the coordinators; zero = 0.2 s
	Hedge       time.Duration // a read is also sent to a second leg after this; zero = 0.5 s
	JoinBackOff time.Duration // before a leg joins again; doubles each time that it fails soon; zero = 1 s
	JoinBan     time.Duration // the longest that this becomes; zero = 10 min
	JoinWell    time.Duration // a leg that was in sync for this long did not fail soon; zero = 30 min
	StableIdle  time.Duration // marks are cleared when no write came for this long; zero = 1 s
	StableBusy  time.Duration // marks are cleared at least this often under load; zero = 5 s
	CopySave    time.Duration // between two savings of how far a full copy has come; zero = 30 s
	CopyDepth   int           // extents being copied at once; zero = 8
	CopyBytes   int64         // of one extent, a power of two of at least 64 KiB; zero = 256 KiB
}

func (t Timing) withDefaults() Timing {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&t.Ping, 500*time.Millisecond)
	def(&t.TRead, 2*time.Second)
	def(&t.SlowLeg, 2500*time.Millisecond)
	def(&t.SlowFlush, 15*time.Second)
	def(&t.LegLost, 3*time.Second)
	def(&t.FenceWait, 2*time.Second)
	def(&t.Retry, 200*time.Millisecond)
	def(&t.Hedge, 500*time.Millisecond)
	def(&t.Challenge, 10*time.Second)
	def(&t.JoinBackOff, time.Second)
	def(&t.JoinBan, max(10*time.Minute, t.JoinBackOff))
	def(&t.JoinWell, 30*time.Minute)
	def(&t.StableIdle, time.Second)
	def(&t.StableBusy, 5*time.Second)
	def(&t.CopySave, 30*time.Second)
	if t.CopyDepth == 0 {
		t.CopyDepth = 8
	}
	if t.CopyBytes == 0 {
		t.CopyBytes = 256 << 10
	}
	return t
}

func (t Timing) validate() error {
	var errs []error
	for _, d := range []struct {
		name string
		v    time.Duration
	}{
		{"Ping", t.Ping}, {"TRead", t.TRead}, {"SlowLeg", t.SlowLeg}, {"SlowFlush", t.SlowFlush},
		{"LegLost", t.LegLost}, {"FenceWait", t.FenceWait}, {"Retry", t.Retry}, {"Hedge", t.Hedge},
		{"Challenge", t.Challenge}, {"JoinBackOff", t.JoinBackOff},
		{"JoinBan", t.JoinBan}, {"JoinWell", t.JoinWell}, {"StableIdle", t.StableIdle}, {"StableBusy", t.StableBusy},
		{"CopySave", t.CopySave},
	} {
		if d.v <= 0 {
			errs = append(errs, fmt.Errorf("timing %s is %v: it must be above zero", d.name, d.v))
		}
	}
	if t.Ping*2 > t.TRead {
		errs = append(errs, fmt.Errorf("timing Ping %v must be at most half of TRead %v", t.Ping, t.TRead))
	}
	if t.CopyDepth < 1 {
		errs = append(errs, fmt.Errorf("timing CopyDepth is %d: it must be at least 1", t.CopyDepth))
	}
	if t.CopyBytes < 64<<10 || t.CopyBytes > 4<<20 || t.CopyBytes&(t.CopyBytes-1) != 0 {
		errs = append(errs, fmt.Errorf("timing CopyBytes is %d: it must be a power of two from 64 KiB to 4 MiB",
			t.CopyBytes))
	}
	return errors.Join(errs...)
}

// validate reports every fault of o, whose defaults are filled in.
func (o *Options) validate() error {
	var errs []error
	bad := func(cond bool, format string, args ...any) {
		if cond {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(o.Epoch == 0, "options: the epoch is missing")
	bad(o.AttachID.IsZero(), "options: the attach id is missing")
	bad(o.SizeBytes <= 0 || o.SizeBytes%BlockBytes != 0,
		"options: size %d is no positive multiple of %d", o.SizeBytes, BlockBytes)
	bad(len(o.Legs) == 0, "options: there is no leg")
	bad(len(o.Legs) > MaxLegs, "options: %d legs are more than %d", len(o.Legs), MaxLegs)
	bad(o.Authority == nil, "options: the authority is missing")
	bad(o.Clock == nil, "options: the clock is missing")
	seen := map[volume.LegID]bool{}
	for i, l := range o.Legs {
		if l.Leg == nil {
			errs = append(errs, fmt.Errorf("options: leg %d (%s) has no adapter", i, l.ID))
			continue
		}
		bad(l.Leg.ID() != l.ID, "options: the adapter of leg %s is that of leg %s", l.ID, l.Leg.ID())
		bad(seen[l.ID], "options: leg %s is named twice", l.ID)
		seen[l.ID] = true
	}
	if err := o.Timing.validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
