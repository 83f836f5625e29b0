package storage

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/scsi"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// What an engine asks of the journal of a leg of parity, over its LUN.
func TestVendor_journal(t *testing.T) {
	n := newNode(t)
	o := n.order(peer.LegProvision)
	o.Layout = volume.Layout{Kind: volume.KindParity, Data: 2, Extra: 1, Chunk: volume.MinChunkBytes}
	require.NoError(t, n.assign(o))
	o.Action = peer.LegKeep
	require.NoError(t, n.assign(o))
	s := n.login(o.Leg, 3, volume.NewAttachID())
	require.Equal(t, scsi.Good, s.config(3, volume.Config{CfgVer: 3, InSync: []volume.LegID{o.Leg}}).Status)
	s.do(make([]byte, 16), nil, 0) // the unit attention of power on

	stage := func(number uint64, kind volume.RecordKind, payload []byte) scsi.Response {
		r := volume.Record{Transaction: volume.Transaction{Epoch: 3, Number: number}, Kind: kind, FirstBlock: 1,
			Blocks: int64(len(payload)) / volume.BlockBytes, Legs: []volume.LegID{o.Leg, volume.NewLegID()}}
		list, err := inband.AppendStage(nil, r)
		require.NoError(t, err)
		c := inband.Stage{ParamBytes: uint32(len(list)), Blocks: uint32(r.Blocks)}
		_, res := s.inband(c, append(list, payload...))
		return res
	}
	upTo := func(c inband.Command, epoch volume.Epoch, number uint64) scsi.Response {
		_, res := s.inband(c, inband.AppendTransaction(nil, volume.Transaction{Epoch: epoch, Number: number}))
		return res
	}
	records := func() inband.RecordsPage {
		data, res := s.inband(inband.Records{}, nil)
		require.Equal(t, scsi.Good, res.Status)
		page, err := inband.ParseRecords(data)
		require.NoError(t, err)
		require.Zero(t, page.Next)
		return page
	}
	read := func() []byte {
		data, res := s.do(rw16(opRead16, 1), nil, 4096)
		require.Equal(t, scsi.Good, res.Status)
		return data
	}
	block := func(b byte) []byte { return bytes.Repeat([]byte{b}, volume.BlockBytes) }

	require.Equal(t, scsi.Good, stage(1, volume.RecordImage, block(9)).Status)
	require.Equal(t, scsi.Good, stage(2, volume.RecordDelta, append(block(3), block(4)...)).Status)
	require.Equal(t, block(9^3), read())
	require.Equal(t, byte(0x2c), stage(2, volume.RecordImage, block(9)).Sense.ASC, "it is there already")
	require.Len(t, records().Records.Records, 2)
	require.Equal(t, byte(0x2c), upTo(inband.Free{}, 3, 1).Sense.ASC, "it is not committed")
	require.Equal(t, byte(0x2c), upTo(inband.Commit{}, 4, 1).Sense.ASC, "of a later epoch")
	require.Equal(t, scsi.Good, upTo(inband.Commit{}, 3, 1).Status)
	require.True(t, records().Records.Records[0].Committed)
	list, err := inband.AppendRollback(nil, []volume.Transaction{{Epoch: 3, Number: 2}, {Epoch: 2, Number: 9}})
	require.NoError(t, err)
	_, res := s.inband(inband.Rollback{ParamBytes: uint32(len(list))}, list)
	require.Equal(t, scsi.Good, res.Status)
	require.Equal(t, block(9), read())
	_, res = s.do(rw16(opWrite16, 1), block(7), 0)
	require.NotEqual(t, scsi.Good, res.Status, "around the journal, where a record is")
	require.Equal(t, scsi.Good, upTo(inband.Free{}, 3, 1).Status)
	require.Empty(t, records().Records.Records)
	_, res = s.do(rw16(opWrite16, 1), block(7), 0)
	require.Equal(t, scsi.Good, res.Status)
	require.Equal(t, block(7), read())
	require.Equal(t, scsi.Good, upTo(inband.Drop{}, 3, 5).Status)
	require.Equal(t, volume.Transaction{Epoch: 3, Number: 5}, records().Floor)
	for number, want := uint64(6), byte(0); want == 0; number++ { // until the journal is full
		if res := stage(number, volume.RecordDelta, block(1)); res.Status != scsi.Good {
			want = res.Sense.ASC
			require.Equal(t, scsi.Sense{Key: scsi.DataProtect, ASC: 0x27, ASCQ: 7}, res.Sense)
		}
	}
}

// A leg of a mirror knows none of it.
func TestVendor_mirrorHasNoJournal(t *testing.T) {
	n := newNode(t)
	o := n.provisioned()
	s := n.login(o.Leg, 1, volume.NewAttachID())
	require.Equal(t, scsi.Good, s.config(1, volume.Config{CfgVer: 3, InSync: []volume.LegID{o.Leg}}).Status)
	s.do(make([]byte, 16), nil, 0)
	for _, c := range []inband.Command{inband.Commit{}, inband.Free{}, inband.Drop{}} {
		_, res := s.inband(c, inband.AppendTransaction(nil, volume.Transaction{Epoch: 1, Number: 1}))
		require.Equal(t, scsi.Sense{Key: scsi.IllegalRequest, ASC: 0x20}, res.Sense)
	}
	_, res := s.inband(inband.Records{}, nil)
	require.Equal(t, scsi.Sense{Key: scsi.IllegalRequest, ASC: 0x20}, res.Sense)
}
