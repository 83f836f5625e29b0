package engine

import (
	"bytes"
	"context"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/initiator"
	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/scsi"
	"github.com/holdfast-storage/holdfast/target"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// busyLeg is a logical unit that knows nothing but STAGE, and a target's admission to it. It answers BUSY for a while,
// as a target does whose memory others hold.
type busyLeg struct {
	left atomic.Int32 // how often it is busy

	mu      sync.Mutex
	records []volume.Record
	payload []byte // of the newest
}

// Execute implements scsi.LogicalUnit.
func (b *busyLeg) Execute(_ context.Context, cmd *scsi.Command, res *scsi.Response) {
	if b.left.Add(-1) >= 0 {
		res.Status = scsi.Busy
		return
	}
	r, payload, err := inband.ParseStage(cmd.DataOut)
	if err != nil {
		res.CheckCondition(scsi.Sense{Key: scsi.IllegalRequest, ASC: 0x26})
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records, b.payload = append(b.records, r), bytes.Clone(payload)
}

// DataOutLen implements scsi.LogicalUnit.
func (b *busyLeg) DataOutLen(cdb []byte) int64 {
	command, err := inband.Parse(cdb)
	if stage, ok := command.(inband.Stage); ok && err == nil {
		return int64(stage.ParamBytes) + int64(stage.Blocks)*volume.BlockBytes
	}
	return 0
}

// DataInLen implements scsi.LogicalUnit.
func (b *busyLeg) DataInLen([]byte) int64 { return 0 }

// Credentials implements target.Admission.
func (b *busyLeg) Credentials(context.Context, target.Attempt) (target.Credentials, error) {
	return target.Credentials{}, nil
}

// Admit implements target.Admission.
func (b *busyLeg) Admit(context.Context, target.Attempt, target.SessionControl) (target.Grant, error) {
	return target.Grant{LUNs: map[uint64]scsi.LogicalUnit{0: b}}, nil
}

// Targets implements target.Admission.
func (b *busyLeg) Targets(string) []string { return nil }

// session serves the unit and logs in to it.
func (b *busyLeg) session(t *testing.T) *initiator.Session {
	t.Helper()
	server, err := target.New(target.Options{Admission: b})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		require.NoError(t, server.Shutdown(ctx))
		<-served
	})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	s, err := initiator.Login(t.Context(), conn, initiator.Options{TargetName: "iqn.2026-11.com.example:leg",
		InitiatorName: "iqn.2026-11.com.example:host", ISID: iscsi.ISID{0x80, 0, 0, 0, 0, 3}})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// A leg that has no room for a record for a moment gets it a moment later: it is not asked again and again at once, and
// has not failed.
func TestStage_waitsForALegThatIsBusy(t *testing.T) {
	unit := &busyLeg{}
	session := unit.session(t)
	var tasks stageTasks
	stage := func(number uint64) error {
		answer := make(chan error, 1)
		tasks.submit(session, &mirror.StageRequest{
			Record: volume.Record{Transaction: volume.Transaction{Epoch: 2, Number: number}, Kind: volume.RecordImage,
				FirstBlock: 7, Blocks: 1, Legs: []volume.LegID{{UUID: volume.UUID{15: 1}}}},
			Data:     bytes.Repeat([]byte{byte(number)}, volume.BlockBytes),
			Complete: func(_ *mirror.StageRequest, err error) { answer <- err },
		})
		return <-answer
	}
	for number := uint64(1); number <= 2; number++ { // the second with the task of the first
		unit.left.Store(12)
		began := time.Now()
		require.NoError(t, stage(number))
		require.Greater(t, time.Since(began), 300*time.Millisecond, "it was given time")
		unit.mu.Lock()
		require.Len(t, unit.records, int(number))
		require.Equal(t, number, unit.records[number-1].Transaction.Number)
		require.Equal(t, bytes.Repeat([]byte{byte(number)}, volume.BlockBytes), unit.payload)
		unit.mu.Unlock()
	}

	unit.left.Store(math.MaxInt32)
	time.AfterFunc(20*time.Millisecond, func() { session.Abort(initiator.ErrAborted) })
	require.ErrorIs(t, stage(3), block.ErrUnreachable, "what rests ends with its session")
	<-session.Ended()
}
