package api

// The verbs that a plan can be asked for.
const (
	PlanNodeReplace    = "node-replace"
	PlanNodeRemove     = "node-remove"
	PlanNodeDrain      = "node-drain"
	PlanVolumeDelete   = "volume-delete"
	PlanVolumeAttach   = "volume-attach"
	PlanVolumeDetach   = "volume-detach"
	PlanVolumePromote  = "volume-promote"
	PlanDomainFailover = "domain-failover"
	PlanDomainMigrate  = "domain-migrate"
	PlanDomainDrill    = "domain-drill"
	PlanRebalance      = "cluster-rebalance"
)

// PlanRequest asks what a verb would do, with what that verb is given.
type PlanRequest struct {
	Verb       string `json:"verb" doc:"noun-verb, as in node-remove"`
	Name       string `json:"name,omitempty" doc:"of the object: name or id"`
	New        string `json:"new,omitempty" doc:"of node-replace: the node that takes the other's place"`
	Host       string `json:"host,omitempty" doc:"of volume-attach; domain-failover and -drill choose if it is empty"`
	Takeover   bool   `json:"takeover,omitempty" doc:"of volume-attach"`
	AcceptLoss bool   `json:"accept_loss,omitempty" doc:"of volume-attach"`
	Leg        string `json:"leg,omitempty" doc:"of volume-promote"`
	Reason     string `json:"reason,omitempty" doc:"of volume-promote"`
	HostIsOff  bool   `json:"host_is_off,omitempty" doc:"of volume-promote"`
}

// Plan is what a verb would do if it were asked for now. What would be refused is refused as the verb is.
type Plan struct {
	Verb    string     `json:"verb"`
	Steps   []PlanStep `json:"steps" doc:"empty when there is nothing to do"`
	Bytes   int64      `json:"copy_bytes" doc:"that are copied between nodes, at most"`
	Seconds float64    `json:"copy_seconds" doc:"that it takes when each node copies 100 MiB a second"`
	Risks   []string   `json:"risks" doc:"what is worse while it goes on, or for good"`
}

// PlanStep is one thing that would happen.
type PlanStep struct {
	Action string `json:"action" doc:"retire, leave, copy_leg, move_domain, fence, attach, detach, delete_leg, wait …"`
	Object string `json:"object" doc:"volume/web1, domain/web1 or node/n2"`
	From   string `json:"from,omitempty" doc:"node, or node/store"`
	To     string `json:"to,omitempty"`
	Bytes  int64  `json:"bytes,omitempty" doc:"that are copied or deleted, at most"`
	InSync int    `json:"in_sync,omitempty" doc:"readable legs in sync that the volume has meanwhile"`
	Legs   int    `json:"legs,omitempty" doc:"that it ought to have"`
	Note   string `json:"note,omitempty"`
}
