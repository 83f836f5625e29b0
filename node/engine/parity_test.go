package engine

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/plug"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/netio"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// createParity makes a volume of parity=2+1 with a leg on each node and waits until it exists.
func (c *cluster) createParity(name string) { c.createParityOf(name, volumeBytes) }

func (c *cluster) createParityOf(name string, size int64) {
	c.t.Helper()
	c.commit(raft.Command{RaiseVersion: &raft.RaiseVersion{To: raft.VersionLatest}}) // once is enough
	create := raft.CreateVolume{ID: volume.NewID(), Name: name, SizeBytes: size, Layout: volume.Parity(2, 1),
		DataGen: volume.NewUUID()}
	for i := range 3 {
		create.Legs = append(create.Legs, c.nodes[i].leg(i))
	}
	c.apply(raft.Command{CreateVolume: &create})
	c.assign()
	require.Equal(c.t, volume.PhaseDetached, c.volume(name).Phase)
}

// legEvents is a sink that tells a test of a leg's sessions.
type legEvents struct {
	up   chan volume.LegReport
	down chan error
}

func (s legEvents) Up(_ volume.LegID, r volume.LegReport) { s.up <- r }
func (s legEvents) Down(_ volume.LegID, cause error)      { s.down <- cause }

// parityLeg connects to the first leg of a volume of parity, without an engine.
func (c *cluster) parityLeg(ticket peer.Ticket) (*leg, legEvents) {
	c.t.Helper()
	sink := legEvents{up: make(chan volume.LegReport, 9), down: make(chan error, 99)}
	l := newLeg(&ticket, ticket.Legs[0], &plug.Plug{}, &netio.Waits{}, slog.New(slog.DiscardHandler))
	l.Start(sink)
	c.t.Cleanup(l.Stop)
	<-sink.up
	require.NoError(c.t, l.Config(c.t.Context(), volume.Config{CfgVer: 9, InSync: []volume.LegID{l.ID()}}))
	return l, sink
}

// staged sends a record and waits for its answer.
func staged(t *testing.T, l *leg, r volume.Record, data []byte) error {
	t.Helper()
	answer := make(chan error, 1)
	l.Stage(&mirror.StageRequest{Record: r, Data: data,
		Complete: func(_ *mirror.StageRequest, err error) { answer <- err }})
	select {
	case err := <-answer:
		return err
	case <-time.After(20 * time.Second):
		return context.DeadlineExceeded
	}
}

// What an engine says of records, to a real leg.
func TestLeg_records(t *testing.T) {
	c := newCluster(t, 3)
	c.createParity("p")
	l, sink := c.parityLeg(c.grant("p"))
	ctx, epoch := t.Context(), l.ticket.Epoch
	at := func(n uint64) volume.Transaction { return volume.Transaction{Epoch: epoch, Number: n} }
	record := func(n uint64, first, blocks int64) volume.Record {
		return volume.Record{Transaction: at(n), Kind: volume.RecordImage, FirstBlock: first, Blocks: blocks,
			Legs: []volume.LegID{l.ID(), volume.NewLegID()}}
	}
	const many = 450 // more than two pages
	answers := make(chan error, many)
	for n := range uint64(many) {
		l.Stage(&mirror.StageRequest{Record: record(n+1, int64(n), 1), Data: bytes.Repeat([]byte{byte(n)}, 4096),
			Complete: func(_ *mirror.StageRequest, err error) { answers <- err }})
		if n%50 == 49 { // the leg has room for a hundred or so
			for range 50 {
				require.NoError(t, <-answers)
			}
			require.NoError(t, l.Commit(ctx, at(n)))
			require.NoError(t, l.Free(ctx, at(n)))
		}
	}
	long := record(many+1, 500, 16)
	require.NoError(t, staged(t, l, long, bytes.Repeat([]byte{7}, 16*4096)))
	require.NoError(t, staged(t, l, long, bytes.Repeat([]byte{7}, 16*4096)), "its answer may have been lost")
	require.ErrorIs(t, staged(t, l, record(many+1, 1, 1), make([]byte, 4096)), block.ErrFailed, "another one")
	require.ErrorIs(t, staged(t, l, record(many+2, 1, 2), make([]byte, 4096)), block.ErrUnsupported)
	require.Error(t, staged(t, l, record(0, 1, 1), make([]byte, 4096)))

	have, err := l.Records(ctx)
	require.NoError(t, err)
	require.Len(t, have.Records, 2)
	require.Equal(t, long, have.Records[1])
	require.NoError(t, l.Rollback(ctx, []volume.Transaction{at(many + 1)}))
	require.NoError(t, l.Drop(ctx, at(many+2)))
	have, err = l.Records(ctx)
	require.NoError(t, err)
	require.Equal(t, volume.Records{Floor: at(many + 2)}, have)

	l.Reset("the test says so")
	require.Error(t, <-sink.down)
	<-sink.up
}

// A page holds so many records; RECORDS asks for all of them.
func TestLeg_recordsInPages(t *testing.T) {
	c := newCluster(t, 3)
	c.createParityOf("p", 512<<20)
	l, _ := c.parityLeg(c.grant("p"))
	for n := range uint64(450) {
		require.NoError(t, staged(t, l, volume.Record{Transaction: volume.Transaction{Epoch: l.ticket.Epoch,
			Number: n + 1}, Kind: volume.RecordDelta, FirstBlock: 5, Blocks: 1, Legs: []volume.LegID{l.ID()}},
			make([]byte, 4096)))
	}
	have, err := l.Records(t.Context())
	require.NoError(t, err)
	require.Len(t, have.Records, 450)
	for i, r := range have.Records {
		require.EqualValues(t, i+1, r.Transaction.Number)
	}
}

// Without a session a record ends at once, and nothing is asked twice.
func TestLeg_stageWithoutSession(t *testing.T) {
	c := newCluster(t, 3)
	c.createParity("p")
	ticket := c.grant("p")
	l := newLeg(&ticket, ticket.Legs[0], &plug.Plug{}, &netio.Waits{}, slog.New(slog.DiscardHandler))
	require.ErrorIs(t, staged(t, l, volume.Record{}, nil), block.ErrUnreachable)
	_, err := l.Records(t.Context())
	require.ErrorIs(t, err, block.ErrUnreachable)
}
