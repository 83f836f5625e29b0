// Package identity is who is who in a cluster: the cluster's certificate authority, the
// certificates of its nodes, and the TLS settings by which daemons and engines know each other.
//
//	CA (one per cluster, 10 years) ── signs ──▶ node certificate
//	                                            URI SAN  holdfast://<cluster>/node/<node id>
//	                                            DNS, IP  its name and its addresses
//	                               └─────────▶ guest's credential, of clients only
//	                                            URI SAN  holdfast://<cluster>/export/<volume id>/<series>
//
// A connection is TLS 1.3 with certificates on both sides. Each side verifies the chain to the
// cluster's own CA, never to the system's, and the other's URI name, so that a certificate of
// another cluster or of another use of the same CA opens nothing: a guest's credential opens one
// volume's export and nothing of a node ([Identity.GuestTLS]), a node's certificate no export.
//
// Invariant: a private key is only ever in a file of mode 0600, and a file that others can read is
// refused.
//
// It does not say what a node may do: the roles are raft's word.
package identity
