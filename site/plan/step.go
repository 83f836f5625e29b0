package plan

import (
	"github.com/holdfast-storage/holdfast/api"
)

// Kind is what a step does.
type Kind string

// The kinds of steps.
const (
	SetCluster      Kind = "set_cluster"       // what may be promised of a store
	SetReplaceAfter Kind = "set_replace_after" // of the cluster or a volume
	SetNode         Kind = "set_node"          // where a node stands
	JoinNode        Kind = "join_node"         // a server is no node yet; only its machine can change that
	ConfigureNode   Kind = "configure_node"    // a node plays other roles; only its machine can change that
	ReplaceNode     Kind = "replace_node"      // a machine that was installed anew takes its old place
	AddImage        Kind = "add_image"         // a version, from a file
	DeleteDomain    Kind = "delete_domain"
	CreateVolume    Kind = "create_volume"
	SetLimit        Kind = "set_limit"
	SetScrubEvery   Kind = "set_scrub_every"
	StopDomain      Kind = "stop_domain"
	SetExport       Kind = "set_export" // or take it away
	DefineDomain    Kind = "define_domain"
	RedefineDomain  Kind = "redefine_domain"
	StartDomain     Kind = "start_domain"
	DeleteVolume    Kind = "delete_volume"
)

// Kinds returns every kind of step.
func Kinds() []Kind {
	return []Kind{SetCluster, SetReplaceAfter, SetNode, JoinNode, ConfigureNode, ReplaceNode, AddImage, DeleteDomain,
		CreateVolume, SetLimit, SetScrubEvery, StopDomain, SetExport, DefineDomain, RedefineDomain, StartDomain,
		DeleteVolume}
}

// Step is one thing that has to be done.
type Step struct {
	Kind    Kind     `json:"kind"`
	Object  string   `json:"object"`            // volume/web1, domain/web1, node/n2 or cluster
	ID      string   `json:"id,omitempty"`      // of a volume or node that exists: a name may come to be another's
	Changes []Change `json:"changes,omitempty"` // what there is, and what there shall be
	Note    string   `json:"note,omitempty"`
	Loses   string   `json:"loses,omitempty"` // what is gone or interrupted when it is done
	Held    string   `json:"held,omitempty"`  // what it waits for; empty: it can be done
	Request Request  `json:"request"`
}

// Change is one thing that is different.
type Change struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// Request is what the API is asked for: one field is set, if the kind of the step has something to say.
type Request struct {
	Cluster      *api.SetCluster      `json:"cluster,omitempty"`
	ReplaceAfter *api.SetReplaceAfter `json:"replace_after,omitempty"`
	Node         *api.SetNode         `json:"node,omitempty"`
	Replace      *api.ReplaceNode     `json:"replace,omitempty"`
	Create       *api.CreateVolume    `json:"create,omitempty"`
	Volume       *api.SetVolume       `json:"volume,omitempty"`
	Domain       *api.DomainSpec      `json:"domain,omitempty"`
	Image        *NewImage            `json:"image,omitempty"`
}

// Plan is all that has to be done.
type Plan struct {
	Cluster   string     `json:"cluster"`
	Revision  string     `json:"revision"` // of what is to be done: another plan has another one
	Steps     []Step     `json:"steps"`
	Conflicts []Conflict `json:"conflicts"`
	Others    []Other    `json:"others"`
}

// Conflict is what is different and cannot be changed.
type Conflict struct {
	Object  string   `json:"object"`
	Changes []Change `json:"changes"`
	Hint    string   `json:"hint"`
}

// Other is what the site does not speak of. It stays as it is.
type Other struct {
	Object string `json:"object"`
	Note   string `json:"note"`
}

// Allow is what may be done although it ends something.
type Allow struct {
	Restart       []string // domains that may be stopped and started
	RestartAll    bool
	Prune         bool     // domains of which the site says nothing are deleted
	DeleteVolumes []string // volumes of which the site says nothing that are deleted with their data
}

// Open returns the steps that can be done.
func (p Plan) Open() []Step { return p.only(func(s Step) bool { return s.Held == "" }) }

// Held returns the steps that wait for somebody.
func (p Plan) Held() []Step { return p.only(func(s Step) bool { return s.Held != "" }) }

func (p Plan) only(keep func(Step) bool) []Step {
	var steps []Step
	for _, s := range p.Steps {
		if keep(s) {
			steps = append(steps, s)
		}
	}
	return steps
}
