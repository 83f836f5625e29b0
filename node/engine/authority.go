package engine

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// commander is what the authority needs of peer.Client.
type commander interface {
	Command(ctx context.Context, cmd raft.Command) (raft.Result, error)
}

// authority adapts the coordinators to mirror.Authority. What raft refuses becomes the mirror's
// sentinel; what did not arrive, or came back as nothing known, stays an unknown outcome.
type authority struct {
	coordinators commander
	volume       volume.ID
	unbroken     atomic.Pointer[volume.AttachID] // of the answer to Activate; nil before
}

var _ mirror.Authority = (*authority)(nil)

// RecordFence says that a leg was fenced in this epoch, and what it reported.
func (a *authority) RecordFence(ctx context.Context, e volume.Epoch, r volume.LegReport,
	setBack bool) (mirror.Fenced, error) {
	answer, err := a.ask(ctx, "record fence", raft.Command{RecordFence: &raft.RecordFence{
		Volume: a.volume, Epoch: e, Leg: r.Label.LegID, Report: r, SetBack: setBack}})
	return mirror.Fenced{Full: answer.SetBack,
		Copied: mirror.Copied{Upto: answer.Copied.Upto, Since: answer.Copied.Since}}, err
}

// Activate asks to activate the epoch.
func (a *authority) Activate(ctx context.Context, e volume.Epoch) (mirror.Activation, error) {
	r, err := a.ask(ctx, "activate", raft.Command{Activate: &raft.Activate{Volume: a.volume, Epoch: e}})
	if err != nil {
		return mirror.Activation{}, err
	}
	a.unbroken.Store(&r.Unbroken)
	return mirror.Activation{Config: r.Config, Lossy: r.Lossy, Clean: r.Clean}, nil
}

// RemoveLeg commits that a leg is not in sync.
func (a *authority) RemoveLeg(ctx context.Context, e volume.Epoch, leg volume.LegID, seen volume.CfgVer,
	reason string, setBack bool, seqs []volume.LegSeq) (volume.Config, error) {
	r, err := a.ask(ctx, "remove leg", raft.Command{RemoveLeg: &raft.RemoveLeg{
		Volume: a.volume, Epoch: e, Leg: leg, SeenCfg: seen, Reason: reason, SetBack: setBack, Seqs: seqs}})
	return r.Config, err
}

// AddLeg commits that a leg is in sync, by compare-and-set on cfgver. A leg that raft does not know any
// more, or does not use any more, has changed: it is as if the compare-and-set had failed.
func (a *authority) AddLeg(ctx context.Context, e volume.Epoch, cfgver volume.CfgVer, leg volume.LegID,
	store volume.StoreID, instance uint64) (volume.Config, error) {
	r, err := a.ask(ctx, "add leg", raft.Command{AddLeg: &raft.AddLeg{
		Volume: a.volume, Epoch: e, CfgVer: cfgver, Leg: leg, Store: store, Instance: instance}})
	if r.Err != nil && (r.Err.Code == raft.CodeNotFound || r.Err.Code == raft.CodeInvalid) {
		err = fmt.Errorf("%w: %w", err, mirror.ErrRetry)
	}
	return r.Config, err
}

// ConfirmCopy keeps how far the copy onto a leg has come. Coordinators that do not keep it, for this leg or
// at their version, are not asked again.
func (a *authority) ConfirmCopy(ctx context.Context, e volume.Epoch, cfgver volume.CfgVer, leg volume.LegID,
	store volume.StoreID, instance uint64, done mirror.Copied, seqs []volume.LegSeq) (volume.Config, error) {
	r, err := a.ask(ctx, "confirm copy", raft.Command{ConfirmCopy: &raft.ConfirmCopy{
		Volume: a.volume, Epoch: e, CfgVer: cfgver, Leg: leg, Store: store, Instance: instance,
		Upto: done.Upto, Since: done.Since, Seqs: seqs}})
	if r.Err != nil && (r.Err.Code == raft.CodeNotFound || r.Err.Code == raft.CodeInvalid) {
		err = fmt.Errorf("%w: %w", err, mirror.ErrWait)
	}
	return r.Config, err
}

// Confirm says that a configuration is durable on every leg in sync.
func (a *authority) Confirm(ctx context.Context, e volume.Epoch, cfgver volume.CfgVer,
	seqs []volume.LegSeq) error {
	_, err := a.ask(ctx, "confirm", raft.Command{ConfirmConfig: &raft.ConfirmConfig{
		Volume: a.volume, Epoch: e, CfgVer: cfgver, Seqs: seqs}})
	return err
}

// Detach ends the attachment.
func (a *authority) Detach(ctx context.Context, e volume.Epoch, clean bool, seqs []volume.LegSeq) error {
	_, err := a.ask(ctx, "detach", raft.Command{Detach: &raft.Detach{
		Volume: a.volume, Epoch: e, Clean: clean, Seqs: seqs}})
	return err
}

// ask has a command committed. A refusal comes with its result: that of a removal or addition tells the
// configuration that stands. The result is empty when the outcome is unknown.
func (a *authority) ask(ctx context.Context, what string, c raft.Command) (raft.Result, error) {
	r, err := a.coordinators.Command(ctx, c)
	if err != nil {
		return raft.Result{}, fmt.Errorf("%s: %w", what, err)
	}
	if r.Err == nil {
		return r, nil
	}
	if kind := refusal(r.Err.Code); kind != nil {
		return r, fmt.Errorf("%s: %w: %s", what, kind, r.Err.Message)
	}
	return r, fmt.Errorf("%s: %w", what, r.Err)
}

// refusal maps raft's codes to the mirror's answers; nil is one that the mirror has no word for and
// treats as an unknown outcome, which is to ask again. Frozen is among those: it takes an operator,
// and nothing is to be served until then.
func refusal(c raft.Code) error {
	switch c {
	case raft.CodeFenced:
		return mirror.ErrSuperseded
	case raft.CodeLast:
		return mirror.ErrLast
	case raft.CodeRetry:
		return mirror.ErrRetry
	case raft.CodeStale:
		return mirror.ErrStaleRequest
	case raft.CodeWait:
		return mirror.ErrWait
	}
	return nil
}
