package raft

import "errors"

// kind is one kind of command: its name, whether a Command is of it, what applies it, and who other
// than a coordinator may propose it.
type kind struct {
	name   string
	set    bool
	engine bool
	node   bool
	apply  func(*txn) *Refusal
}

// kinds is the list of all kinds of commands. Everything else about them is derived from it.
func (c *Command) kinds() []kind {
	return []kind{
		{name: "init_cluster", set: c.InitCluster != nil, apply: func(t *txn) *Refusal { return t.initCluster(c.InitCluster) }},
		{name: "register_node", set: c.RegisterNode != nil, node: true,
			apply: func(t *txn) *Refusal { return t.registerNode(c.RegisterNode) }},
		{name: "retire_node", set: c.RetireNode != nil, apply: func(t *txn) *Refusal { return t.retireNode(c.RetireNode) }},
		{name: "remove_node", set: c.RemoveNode != nil, apply: func(t *txn) *Refusal { return t.removeNode(c.RemoveNode) }},
		{name: "create_volume", set: c.CreateVolume != nil, apply: func(t *txn) *Refusal { return t.createVolume(c.CreateVolume) }},
		{name: "leg_provisioned", set: c.LegProvisioned != nil, node: true,
			apply: func(t *txn) *Refusal { return t.legProvisioned(c.LegProvisioned) }},
		{name: "leg_lost", set: c.LegLost != nil, node: true, apply: func(t *txn) *Refusal { return t.legLost(c.LegLost) }},
		{name: "delete_volume", set: c.DeleteVolume != nil, apply: func(t *txn) *Refusal { return t.deleteVolume(c.DeleteVolume) }},
		{name: "leg_deleted", set: c.LegDeleted != nil, node: true,
			apply: func(t *txn) *Refusal { return t.legDeleted(c.LegDeleted) }},
		{name: "replace_leg", set: c.ReplaceLeg != nil, apply: func(t *txn) *Refusal { return t.replaceLeg(c.ReplaceLeg) }},
		{name: "begin_attach", set: c.BeginAttach != nil, node: true, // to renew its own, see Authorise
			apply: func(t *txn) *Refusal { return t.beginAttach(c.BeginAttach) }},
		{name: "record_fence", set: c.RecordFence != nil, engine: true,
			apply: func(t *txn) *Refusal { return t.recordFence(c.RecordFence) }},
		{name: "activate", set: c.Activate != nil, engine: true, apply: func(t *txn) *Refusal { return t.activate(c.Activate) }},
		{name: "remove_leg", set: c.RemoveLeg != nil, engine: true, apply: func(t *txn) *Refusal { return t.removeLeg(c.RemoveLeg) }},
		{name: "add_leg", set: c.AddLeg != nil, engine: true, apply: func(t *txn) *Refusal { return t.addLeg(c.AddLeg) }},
		{name: "request_detach", set: c.RequestDetach != nil, node: true,
			apply: func(t *txn) *Refusal { return t.requestDetach(c.RequestDetach) }},
		{name: "detach", set: c.Detach != nil, engine: true, apply: func(t *txn) *Refusal { return t.detach(c.Detach) }},
		{name: "define_domain", set: c.DefineDomain != nil, apply: func(t *txn) *Refusal { return t.defineDomain(c.DefineDomain) }},
		{name: "delete_domain", set: c.DeleteDomain != nil, apply: func(t *txn) *Refusal { return t.deleteDomain(c.DeleteDomain) }},
		{name: "place_domain", set: c.PlaceDomain != nil, apply: func(t *txn) *Refusal { return t.placeDomain(c.PlaceDomain) }},
		{name: "stop_domain", set: c.StopDomain != nil, apply: func(t *txn) *Refusal { return t.stopDomain(c.StopDomain) }},
		{name: "record_event", set: c.RecordEvent != nil, apply: func(t *txn) *Refusal { return t.recordEvent(c.RecordEvent) }},
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

// Name returns the name of the command's kind, as its JSON field has it; "" for none.
func (c *Command) Name() string {
	for _, k := range c.kinds() {
		if k.set {
			return k.name
		}
	}
	return ""
}

// EngineCommand reports whether an engine may propose commands of this kind. The leader sets At and
// Activate.Waited itself: it takes neither from an engine.
func (c *Command) EngineCommand() bool {
	for _, k := range c.kinds() {
		if k.set {
			return k.engine
		}
	}
	return false
}

// NodeCommand reports whether a node's daemon may propose commands of this kind.
func (c *Command) NodeCommand() bool {
	for _, k := range c.kinds() {
		if k.set {
			return k.node
		}
	}
	return false
}
