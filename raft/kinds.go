package raft

import "errors"

// kind is one kind of command: its name, whether a Command is of it, who may propose it, and what
// applies it.
type kind struct {
	name  string
	set   bool
	from  proposer
	apply func(*txn) *Refusal
}

// proposer is who may propose a command.
type proposer int

const (
	byOperator proposer = iota // an operator's order or the leader's own decision
	byNode                     // a node's daemon, too
	byEngine                   // an engine, too
)

// of makes a kind of a field of Command.
func of[T any](name string, from proposer, c *T, apply func(*txn, *T) *Refusal) kind {
	return kind{name: name, set: c != nil, from: from, apply: func(t *txn) *Refusal { return apply(t, c) }}
}

// kinds is the list of all kinds of commands. Everything else about them is derived from it.
func (c *Command) kinds() []kind {
	return append([]kind{
		of("init_cluster", byOperator, c.InitCluster, (*txn).initCluster),
		of("register_node", byNode, c.RegisterNode, (*txn).registerNode),
		of("retire_node", byOperator, c.RetireNode, (*txn).retireNode),
		of("remove_node", byOperator, c.RemoveNode, (*txn).removeNode),
		of("set_location", byOperator, c.SetLocation, (*txn).setLocation),
		of("set_cluster", byOperator, c.SetCluster, (*txn).setCluster),
		of("keep_node", byOperator, c.KeepNode, (*txn).keepNode),
		of("request_rebalance", byOperator, c.RequestRebalance, (*txn).requestRebalance),
		of("end_rebalance", byOperator, c.EndRebalance, (*txn).endRebalance),
		of("create_volume", byOperator, c.CreateVolume, (*txn).createVolume),
		of("end_clones", byNode, c.EndClones, (*txn).endClones),
		of("leg_provisioned", byNode, c.LegProvisioned, (*txn).legProvisioned),
		of("leg_lost", byNode, c.LegLost, (*txn).legLost),
		of("delete_volume", byOperator, c.DeleteVolume, (*txn).deleteVolume),
		of("leg_deleted", byNode, c.LegDeleted, (*txn).legDeleted),
		of("replace_leg", byOperator, c.ReplaceLeg, (*txn).replaceLeg),
		of("keep_leg", byOperator, c.KeepLeg, (*txn).keepLeg),
		of("set_replace_after", byOperator, c.SetReplaceAfter, (*txn).setReplaceAfter),
		of("set_limit", byOperator, c.SetLimit, (*txn).setLimit),
		of("set_export", byOperator, c.SetExport, (*txn).setExport),
		of("set_scrub_every", byOperator, c.SetScrubEvery, (*txn).setScrubEvery),
		of("issue_credential", byOperator, c.IssueCredential, (*txn).issueCredential),
		of("revoke_credentials", byOperator, c.RevokeCredentials, (*txn).revokeCredentials),
		of("begin_attach", byNode, c.BeginAttach, (*txn).beginAttach), // to renew its own, see Authorise
		of("record_fence", byEngine, c.RecordFence, (*txn).recordFence),
		of("activate", byEngine, c.Activate, (*txn).activate),
		of("remove_leg", byEngine, c.RemoveLeg, (*txn).removeLeg),
		of("add_leg", byEngine, c.AddLeg, (*txn).addLeg),
		of("confirm_copy", byEngine, c.ConfirmCopy, (*txn).confirmCopy),
		of("confirm_config", byEngine, c.ConfirmConfig, (*txn).confirmConfig),
		of("request_detach", byNode, c.RequestDetach, (*txn).requestDetach),
		of("detach", byEngine, c.Detach, (*txn).detach),
		of("request_scrub", byOperator, c.RequestScrub, (*txn).requestScrub),
		of("stop_scrub", byOperator, c.StopScrub, (*txn).stopScrub),
		of("report_scrub", byEngine, c.ReportScrub, (*txn).reportScrub),
		of("record_event", byOperator, c.RecordEvent, (*txn).recordEvent),
		of("raise_version", byOperator, c.RaiseVersion, (*txn).raiseVersion),
		of("freeze_volume", byOperator, c.FreezeVolume, (*txn).freezeVolume),
		of("unfreeze", byOperator, c.Unfreeze, (*txn).unfreeze),
		of("force_promote", byOperator, c.ForcePromote, (*txn).forcePromote),
		of("note_label", byNode, c.NoteLabel, (*txn).noteLabel),
		of("adopt_leg", byNode, c.AdoptLeg, (*txn).adoptLeg),
		of("end_rebuild", byOperator, c.EndRebuild, (*txn).endRebuild),
		of("set_authority", byOperator, c.SetAuthority, (*txn).setAuthority),
		of("create_join", byOperator, c.CreateJoin, (*txn).createJoin),
		of("use_join", byOperator, c.UseJoin, (*txn).useJoin),
		of("revoke_join", byOperator, c.RevokeJoin, (*txn).revokeJoin),
		of("create_token", byOperator, c.CreateToken, (*txn).createToken),
		of("revoke_token", byOperator, c.RevokeToken, (*txn).revokeToken),
		of("end_operation", byOperator, c.EndOperation, (*txn).endOperation),
	}, c.domainKinds()...)
}

// domainKinds are those about guests, and what they boot from.
func (c *Command) domainKinds() []kind {
	return []kind{
		of("define_domain", byOperator, c.DefineDomain, (*txn).defineDomain),
		of("delete_domain", byOperator, c.DeleteDomain, (*txn).deleteDomain),
		of("place_domain", byOperator, c.PlaceDomain, (*txn).placeDomain),
		of("stop_domain", byOperator, c.StopDomain, (*txn).stopDomain),
		of("begin_migration", byOperator, c.BeginMigration, (*txn).beginMigration),
		of("abort_migration", byNode, c.AbortMigration, (*txn).abortMigration),
		of("switch_migration", byNode, c.SwitchMigration, (*txn).switchMigration),
		of("grant_migration", byOperator, c.GrantMigration, (*txn).grantMigration),
		of("pause_domain", byOperator, c.PauseDomain, (*txn).pauseDomain),
		of("begin_drill", byOperator, c.BeginDrill, (*txn).beginDrill),
		of("return_drill", byOperator, c.ReturnDrill, (*txn).returnDrill),
		of("end_drill", byOperator, c.EndDrill, (*txn).endDrill),
		of("add_image", byOperator, c.AddImage, (*txn).addImage),
		of("delete_image", byOperator, c.DeleteImage, (*txn).deleteImage),
		of("place_blob", byOperator, c.PlaceBlob, (*txn).placeBlob),
		of("blob_held", byNode, c.BlobHeld, (*txn).blobHeld),
		of("pin_domain", byOperator, c.PinDomain, (*txn).pinDomain),
	}
}

// errOneKind refuses a command of no kind or of several.
var errOneKind = errors.New("a command is of exactly one kind")

// check returns why a Command is none.
func (c *Command) check() error {
	n := 0
	for _, k := range c.kinds() {
		if k.set {
			n++
		}
	}
	if n != 1 {
		return errOneKind
	}
	return nil
}

// kind returns the command's kind, the zero kind for none.
func (c *Command) kind() kind {
	for _, k := range c.kinds() {
		if k.set {
			return k
		}
	}
	return kind{}
}

// Name returns the name of the command's kind, as its JSON field has it; "" for none.
func (c *Command) Name() string { return c.kind().name }

// EngineCommand reports whether an engine may propose commands of this kind. The leader sets At and
// Activate.Waited itself: it takes neither from an engine.
func (c *Command) EngineCommand() bool { return c.kind().from == byEngine }

// NodeCommand reports whether a node's daemon may propose commands of this kind.
func (c *Command) NodeCommand() bool { return c.kind().from == byNode }
