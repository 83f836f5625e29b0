package initiator_test

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/initiator"
	"github.com/holdfast-storage/holdfast/scsi"
)

// recorder is a logical unit that notes the commands it gets.
type recorder struct {
	scsi.LogicalUnit
	mu   sync.Mutex
	cdbs []scsi.CDB
}

func (r *recorder) Execute(ctx context.Context, cmd *scsi.Command, res *scsi.Response) {
	r.mu.Lock()
	r.cdbs = append(r.cdbs, scsi.CDB(cmd.CDB[:16]))
	r.mu.Unlock()
	r.LogicalUnit.Execute(ctx, cmd, res)
}

// take returns the commands since the last call.
func (r *recorder) take() []scsi.CDB {
	r.mu.Lock()
	defer r.mu.Unlock()
	cdbs := r.cdbs
	r.cdbs = nil
	return cdbs
}

// submit runs one request to its end.
func submit(t *testing.T, q *initiator.RequestQueue, r block.Request) error {
	t.Helper()
	done := make(chan error, 1)
	r.Complete = func(_ *block.Request, err error) { done <- err }
	q.Submit(&r)
	return <-done
}

func newQueue(t *testing.T, change func(*initiator.Unit)) (*initiator.RequestQueue, *recorder) {
	t.Helper()
	unit := &recorder{LogicalUnit: newDisk(t, newMemory(t, 512), nil)}
	session := newPortal(t, unit).login()
	u, identity, err := initiator.Probe(t.Context(), session, 0)
	require.NoError(t, err)
	require.Contains(t, identity, "serial-1")
	if change != nil {
		change(&u)
	}
	q, err := initiator.NewRequestQueue(session, u)
	require.NoError(t, err)
	unit.take()
	return q, unit
}

func TestRequestQueue_commands(t *testing.T) {
	q, unit := newQueue(t, nil)
	r := block.Range{Off: 512, Len: 1024}
	for _, test := range []struct {
		request block.Request
		want    []scsi.CDB
	}{
		{block.Request{Op: block.OpRead, Range: r, Data: make([]byte, 1024)}, []scsi.CDB{scsi.Read16CDB(1, 2)}},
		{block.Request{Op: block.OpWrite, Range: r, Data: make([]byte, 1024)},
			[]scsi.CDB{scsi.Write16CDB(1, 2, false)}},
		{block.Request{Op: block.OpWrite, Range: r, Data: make([]byte, 1024), Flags: block.FUA},
			[]scsi.CDB{scsi.Write16CDB(1, 2, true)}},
		{block.Request{Op: block.OpZero, Range: r}, []scsi.CDB{scsi.WriteSame16CDB(1, 2, false)}},
		{block.Request{Op: block.OpZero, Range: r, Flags: block.Unmap}, []scsi.CDB{scsi.WriteSame16CDB(1, 2, true)}},
		{block.Request{Op: block.OpZero, Range: r, Flags: block.FUA},
			[]scsi.CDB{scsi.WriteSame16CDB(1, 2, false), scsi.SynchronizeCache16CDB(0, 0)}},
		{block.Request{Op: block.OpFlush}, []scsi.CDB{scsi.SynchronizeCache16CDB(0, 0)}},
		{block.Request{Op: block.OpRead, Range: block.Range{Off: 512}}, nil},
	} {
		require.NoError(t, submit(t, q, test.request))
		require.Equal(t, test.want, unit.take(), "%v", test.request)
	}
}

func TestRequestQueue_unmapOnlyWhereItCan(t *testing.T) {
	q, unit := newQueue(t, func(u *initiator.Unit) { u.Limits.CanUnmap = false })
	zero := block.Request{Op: block.OpZero, Range: block.Range{Len: 512}, Flags: block.Unmap}
	require.NoError(t, submit(t, q, zero))
	require.Equal(t, []scsi.CDB{scsi.WriteSame16CDB(0, 1, false)}, unit.take())
}

func TestRequestQueue_inParts(t *testing.T) {
	q, unit := newQueue(t, func(u *initiator.Unit) { u.Limits.MaxBytes, u.MaxZeroBytes = 1000, 2048 })
	data := make([]byte, 1536)
	for i := range data {
		data[i] = byte(i/512 + 1)
	}
	r := block.Range{Off: 512, Len: 1536}
	require.NoError(t, submit(t, q, block.Request{Op: block.OpWrite, Range: r, Data: data}))
	require.Equal(t, []scsi.CDB{scsi.Write16CDB(1, 1, false), scsi.Write16CDB(2, 1, false),
		scsi.Write16CDB(3, 1, false)}, unit.take())
	got := make([]byte, 1536)
	require.NoError(t, submit(t, q, block.Request{Op: block.OpRead, Range: r, Data: got}))
	require.Equal(t, data, got)
	unit.take()
	zero := block.Request{Op: block.OpZero, Range: block.Range{Len: 5120}, Flags: block.FUA}
	require.NoError(t, submit(t, q, zero))
	require.Equal(t, []scsi.CDB{scsi.WriteSame16CDB(0, 4, false), scsi.WriteSame16CDB(4, 4, false),
		scsi.WriteSame16CDB(8, 2, false), scsi.SynchronizeCache16CDB(0, 0)}, unit.take())
}

func TestRequestQueue_refuses(t *testing.T) {
	q, unit := newQueue(t, nil)
	size, one := q.Limits().SizeBytes, make([]byte, 512)
	for _, test := range []struct {
		request block.Request
		want    error
	}{
		{block.Request{Op: block.OpRead, Range: block.Range{Off: size, Len: 512}, Data: one}, block.ErrOutOfRange},
		{block.Request{Op: block.OpRead, Range: block.Range{Off: 1, Len: 512}, Data: one}, block.ErrMisaligned},
		{block.Request{Op: block.OpRead, Range: block.Range{Len: 512}, Data: one[:511]}, block.ErrUnsupported},
		{block.Request{Op: 99}, block.ErrUnsupported},
	} {
		require.ErrorIs(t, submit(t, q, test.request), test.want)
	}
	require.Empty(t, unit.take(), "nothing of it reached the unit")
	_, err := initiator.NewRequestQueue(nil, initiator.Unit{Limits: block.Limits{BlockBytes: 512, MaxBytes: 100}})
	require.ErrorContains(t, err, "want whole blocks")
}

// busy answers its first commands with BUSY, as a target does whose memory others hold, and has something to say after
// that.
type busy struct {
	scsi.LogicalUnit
	left atomic.Int32
}

func (b *busy) Execute(ctx context.Context, cmd *scsi.Command, res *scsi.Response) {
	switch left := b.left.Add(-1); {
	case left > 0:
		res.Status = scsi.Busy
	case left == 0:
		res.CheckCondition(scsi.Sense{Key: scsi.UnitAttention, ASC: 0x29})
	default:
		b.LogicalUnit.Execute(ctx, cmd, res)
	}
}

// A target that has no room for a moment is not broken.
func TestRequestQueue_waitsForATargetThatIsBusy(t *testing.T) {
	unit := &busy{LogicalUnit: newDisk(t, newMemory(t, 512), nil)}
	session := newPortal(t, unit).login()
	u, _, err := initiator.Probe(t.Context(), session, 0)
	require.NoError(t, err)
	q, err := initiator.NewRequestQueue(session, u)
	require.NoError(t, err)
	unit.left.Store(12)
	write := block.Request{Op: block.OpWrite, Range: block.Range{Len: 512}, Data: make([]byte, 512)}
	require.NoError(t, submit(t, q, write))

	unit.left.Store(math.MaxInt32)
	time.AfterFunc(20*time.Millisecond, func() { session.Abort(initiator.ErrAborted) })
	require.ErrorIs(t, submit(t, q, write), block.ErrUnreachable, "what rests ends with its session")
	<-session.Ended()
}
