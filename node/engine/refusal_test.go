package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/initiator"
	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// protocol-flush F: a refused login means fenced only with the key and a higher epoch.
func TestNewerEpoch(t *testing.T) {
	for _, c := range []struct {
		keys []iscsi.KeyValue
		want bool
	}{
		{nil, false},
		{[]iscsi.KeyValue{{Key: volume.EpochTextKey, Value: "8"}}, true},
		{[]iscsi.KeyValue{{Key: "TargetAlias", Value: "8"},
			{Key: volume.EpochTextKey, Value: "18446744073709551615"}}, true},
		{[]iscsi.KeyValue{{Key: volume.EpochTextKey, Value: "7"}}, false},
		{[]iscsi.KeyValue{{Key: volume.EpochTextKey, Value: "6"}}, false},
		{[]iscsi.KeyValue{{Key: volume.EpochTextKey, Value: ""}}, false},
		{[]iscsi.KeyValue{{Key: volume.EpochTextKey, Value: "-8"}}, false},
		{[]iscsi.KeyValue{{Key: volume.EpochTextKey, Value: "99999999999999999999"}}, false},
		{[]iscsi.KeyValue{{Key: volume.EpochTextKey, Value: "NotUnderstood"}}, false},
		{[]iscsi.KeyValue{{Key: "X-io.holdfast.other", Value: "8"}}, false},
	} {
		require.Equal(t, c.want, newerEpoch(7, c.keys), "%v", c.keys)
	}
}

func TestLoginFailure_isOneOfThree(t *testing.T) {
	for _, c := range []struct{ give, want error }{
		{fmt.Errorf("x: %w", block.ErrFenced), block.ErrFenced},
		{fmt.Errorf("x: %w", block.ErrUnreachable), block.ErrUnreachable},
		{&initiator.LoginError{Class: 2, Detail: 3}, block.ErrFailed},
		{errors.New("whatever"), block.ErrFailed},
		{block.ErrUnsupported, block.ErrFailed},
		{context.Canceled, block.ErrFailed},
	} {
		got := loginFailure(c.give)
		require.ErrorIs(t, got, c.want)
		count := 0
		for _, kind := range []error{block.ErrFenced, block.ErrUnreachable, block.ErrFailed} {
			if errors.Is(got, kind) {
				count++
			}
		}
		require.Equal(t, 1, count, "%v", got)
	}
}

func TestCheckReport(t *testing.T) {
	ticket := peer.Ticket{Incarnation: volume.NewClusterID(), Volume: volume.NewID(), AttachID: volume.NewAttachID(),
		Epoch: 7, SizeBytes: 1 << 20}
	leg := peer.TicketLeg{ID: volume.NewLegID(), Store: volume.NewStoreID()}
	good := volume.Label{Incarnation: ticket.Incarnation, VolumeID: ticket.Volume, LegID: leg.ID, StoreID: leg.Store,
		SizeBytes:  1 << 20,
		FenceEpoch: 7, AttachID: ticket.AttachID}
	require.NoError(t, checkReport(&ticket, &leg, volume.LegReport{Label: good}))
	for name, change := range map[string]func(*volume.Label){
		"incarnation":      func(l *volume.Label) { l.Incarnation = volume.NewClusterID() },
		"is of volume":     func(l *volume.Label) { l.VolumeID = volume.NewID() },
		"is of leg":        func(l *volume.Label) { l.LegID = volume.NewLegID() },
		"made on store":    func(l *volume.Label) { l.StoreID = volume.NewStoreID() },
		"bytes":            func(l *volume.Label) { l.SizeBytes++ },
		"has epoch 6":      func(l *volume.Label) { l.FenceEpoch = 6 },
		"has epoch 8":      func(l *volume.Label) { l.FenceEpoch = 8 },
		"after a login wi": func(l *volume.Label) { l.AttachID = volume.NewAttachID() },
	} {
		bad := good
		change(&bad)
		err := checkReport(&ticket, &leg, volume.LegReport{Label: bad})
		require.ErrorIs(t, err, block.ErrFailed, name)
		require.NotErrorIs(t, err, block.ErrFenced, "a wrong label is that leg's failure, never a fence")
		require.ErrorContains(t, err, name)
	}
}

// TestCheckReport_parity: which part of the volume a leg of parity holds is its slot, so it is never taken for
// another's. Each leg of a mirror holds all, whatever its slot.
func TestCheckReport_parity(t *testing.T) {
	for _, layout := range []volume.Layout{volume.Parity(4, 2), volume.Mirror(2)} {
		ticket := peer.Ticket{Epoch: 7, SizeBytes: 1 << 20, Layout: layout}
		spec := peer.TicketLeg{Slot: 1}
		label := volume.Label{SizeBytes: 1 << 20, FenceEpoch: 7, Layout: layout, Slot: 1}
		require.NoError(t, checkReport(&ticket, &spec, volume.LegReport{Label: label}))
		for name, change := range map[string]func(*volume.Label){
			"slot 0":  func(l *volume.Label) { l.Slot = 0 },
			"chunk":   func(l *volume.Label) { l.Layout.Chunk = 4096 },
			"another": func(l *volume.Label) { l.Layout = volume.Parity(2, 1) },
		} {
			bad := label
			change(&bad)
			err := checkReport(&ticket, &spec, volume.LegReport{Label: bad})
			if layout.Kind == volume.KindMirror {
				require.NoError(t, err, name)
				continue
			}
			require.ErrorIs(t, err, block.ErrFailed, name)
			require.ErrorContains(t, err, "not slot 1 of parity=4+2", name)
		}
	}
}

type answering func(raft.Command) (raft.Result, error)

func (a answering) Command(_ context.Context, c raft.Command) (raft.Result, error) { return a(c) }

func TestAuthority_codes(t *testing.T) {
	for code, want := range map[raft.Code]error{
		raft.CodeFenced: mirror.ErrSuperseded, raft.CodeLast: mirror.ErrLast, raft.CodeRetry: mirror.ErrRetry,
		raft.CodeStale: mirror.ErrStaleRequest, raft.CodeWait: mirror.ErrWait,
		raft.CodeBusy: nil, raft.CodeFrozen: nil, raft.CodeNotFound: nil, raft.CodeExists: nil, raft.CodeInvalid: nil,
		"one of a later version": nil,
	} {
		a := &authority{coordinators: answering(func(raft.Command) (raft.Result, error) {
			// A refusal may come with the volume's present configuration, which is passed on.
			return raft.Result{Config: volume.Config{CfgVer: 9}, Err: &raft.Refusal{Code: code, Message: "leg n2"}}, nil
		})}
		config, err := a.RemoveLeg(t.Context(), 7, volume.NewLegID(), 3, "", false, nil)
		require.ErrorContains(t, err, "leg n2")
		require.Equal(t, volume.Config{CfgVer: 9}, config)
		for _, kind := range []error{mirror.ErrSuperseded, mirror.ErrLast, mirror.ErrRetry, mirror.ErrStaleRequest,
			mirror.ErrWait} {
			require.Equal(t, kind == want, errors.Is(err, kind), "%s and %v", code, kind)
		}
	}
}

func TestAuthority_unknownOutcomeStaysUnknown(t *testing.T) {
	a := &authority{coordinators: answering(func(raft.Command) (raft.Result, error) {
		return raft.Result{Config: volume.Config{CfgVer: 9}}, peer.ErrNoLeader
	})}
	activation, err := a.Activate(t.Context(), 7)
	require.ErrorIs(t, err, peer.ErrNoLeader)
	require.NotErrorIs(t, err, mirror.ErrSuperseded)
	require.Zero(t, activation)
}

func TestAuthority_commands(t *testing.T) {
	vol, leg, store := volume.NewID(), volume.NewLegID(), volume.NewStoreID()
	report := volume.LegReport{Label: volume.Label{LegID: leg}, Instance: 5, Lossy: true}
	answer := raft.Result{Config: volume.Config{CfgVer: 4, InSync: []volume.LegID{leg}},
		Lossy: []volume.LegID{leg}, SetBack: true, Clean: true,
		Copied: raft.Copied{Upto: 8192, Since: 2, At: 3}}
	var got raft.Command
	a := &authority{volume: vol, coordinators: answering(func(c raft.Command) (raft.Result, error) {
		got = c
		return answer, nil
	})}
	seqs := []volume.LegSeq{{Leg: leg, Seq: 9}}
	fenced, err := a.RecordFence(t.Context(), 7, report, true)
	require.NoError(t, err)
	require.Equal(t, mirror.Fenced{Full: true, Copied: mirror.Copied{Upto: 8192, Since: 2}}, fenced)
	require.Equal(t, raft.Command{RecordFence: &raft.RecordFence{Volume: vol, Epoch: 7, Leg: leg, Report: report,
		SetBack: true}}, got)
	activation, err := a.Activate(t.Context(), 7)
	require.NoError(t, err)
	require.Equal(t, mirror.Activation{Config: answer.Config, Lossy: answer.Lossy, Clean: true}, activation)
	require.Equal(t, raft.Command{Activate: &raft.Activate{Volume: vol, Epoch: 7}}, got)
	config, err := a.RemoveLeg(t.Context(), 7, leg, 3, "slow", true, seqs)
	require.NoError(t, err)
	require.Equal(t, answer.Config, config)
	require.Equal(t, raft.Command{RemoveLeg: &raft.RemoveLeg{Volume: vol, Epoch: 7, Leg: leg, SeenCfg: 3,
		Reason: "slow", SetBack: true, Seqs: seqs}}, got)
	config, err = a.AddLeg(t.Context(), 7, 3, leg, store, 5)
	require.NoError(t, err)
	require.Equal(t, answer.Config, config)
	require.Equal(t, raft.Command{AddLeg: &raft.AddLeg{Volume: vol, Epoch: 7, CfgVer: 3, Leg: leg, Store: store,
		Instance: 5}}, got)
	require.NoError(t, a.Detach(t.Context(), 7, true, seqs))
	require.Equal(t, raft.Command{Detach: &raft.Detach{Volume: vol, Epoch: 7, Clean: true, Seqs: seqs}}, got)
}

func TestRangesMerge(t *testing.T) {
	var list []block.Range
	for _, r := range []block.Range{{Off: 0, Len: 10}, {Off: 10, Len: 5}, {Off: 20, Len: 1}, {Off: 21, Len: 1}} {
		list = appendRange(list, r)
	}
	require.Equal(t, []block.Range{{Off: 0, Len: 15}, {Off: 20, Len: 2}}, list)
}
