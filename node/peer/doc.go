// Package peer is what nodes and engines say to coordinators, over HTTPS with client certificates
// of the cluster's CA: heartbeats, what a node is to do, and what an engine asks of raft. The
// public API is package api; this one is between parts of one version of the product and carries
// [Version].
//
// All of it is served by every coordinator; one that does not lead passes the call on to the leader
// or answers with StatusNoLeader.
package peer
