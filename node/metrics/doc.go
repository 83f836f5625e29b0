// Package metrics shows what a node's iSCSI target does: as Prometheus metrics, and as the PDUs of one
// session for people who look for a fault.
package metrics
