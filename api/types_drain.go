package api

// ReplaceAfter is how long a leg cannot be reached before another takes its place by itself.
type ReplaceAfter struct {
	Seconds float64 `json:"seconds" doc:"0 when Never"`
	Never   bool    `json:"never,omitempty"`
	From    string  `json:"from" enum:"default,cluster,volume" doc:"where it is set"`
}

// SetReplaceAfter sets that time.
type SetReplaceAfter struct {
	Volume  string  `json:"volume,omitempty" doc:"name or id; empty sets it for the cluster"`
	Seconds float64 `json:"seconds" doc:"0 is the default: of a volume the cluster's, of the cluster 10 minutes"`
	Never   bool    `json:"never,omitempty" doc:"legs that cannot be reached are not replaced by themselves"`
}
