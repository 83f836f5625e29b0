// Package storage is the storage role of a node: it keeps the node's stores, carries the
// coordinators' orders to their legs, and admits engines to them.
//
//	assignment ──▶ Manager.Assign ──▶ reconcile: provision, keep, delete ──▶ leg.Store
//	                                       └─▶ Report: LegProvisioned, LegLost, LegDeleted
//	engine ──▶ target ──▶ Manager (target.Admission) ──▶ leg.Leg.Login = the fence
//	                          └─▶ scsi.LogicalUnit over leg.Session, vendor hook = in-band commands
//	heartbeat ◀── Manager.Status ◀── checks: a real read of every leg, at an interval of their own
//
// Invariant: a leg is made only by an order to provision, deleted only by an order to delete.
// Invariant: a leg is served only if raft's order and its label agree on who it is; what raft does not
// know is quarantined: kept, never served, never deleted.
// Invariant: looking up credentials changes nothing; only an admitted login fences.
// Invariant: an empty directory where a store was is not a new store.
//
// The package decides nothing about epochs: that is leg.Core. It does not listen: package target
// does, and asks.
package storage
