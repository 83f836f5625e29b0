// Package enroll makes a machine a node: it founds a cluster (`holdfast cluster init`) or joins one
// (`holdfast cluster join`), and leaves a configuration for `holdfast serve` behind.
//
//	token ── pins ──▶ CA      machine ── TLS, checks the pin ──▶ any node ──▶ leading coordinator
//	                          key made here, never sent        secret + CSR      signs, once
//
// What is written, in this order, is: the node's key, what it calls itself (joining.json), its certificate
// with the CA's, and last node.yaml. A machine without node.yaml is no node yet: the same command goes on
// where it ended, with the same key, and the cluster gives the same answer as before.
package enroll
