package api

// SetNode changes what is known of a node; a field that is null stays as it is.
type SetNode struct {
	Zone *string `json:"zone,omitempty" doc:"where it stands; empty is not known"`
	Rack *string `json:"rack,omitempty" doc:"within the zone; empty is not known"`
}

// SetCluster changes settings of the cluster; a field that is null stays as it is.
type SetCluster struct {
	OverProvision *int `json:"over_provision_percent,omitempty" doc:"of what a store can hold, that may be promised"`
}
