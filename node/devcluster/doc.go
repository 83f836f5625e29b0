// Package devcluster is a cluster of real processes on one machine, for trying things out, for the
// demo and for tests: `holdfast dev`.
//
//	DIR/cluster.json        names, identities, ports: chosen once, so that a cluster restarts as it was
//	DIR/ca/                 the cluster's CA
//	DIR/NODE/node.yaml      what `holdfast serve` reads; beside it the node's TLS files
//	DIR/NODE/data, store    what a real node would have on its disks
//	DIR/NODE/daemon.log     the daemon's output
//	DIR/switch.sock, .log   the switch of a cluster whose nodes have network namespaces (node/devnet)
//	RUN/…                   sockets and logs of running things; RUN is DIR/NODE/run if that is short
//	                        enough for sockets, else a directory of its own under the system's
//	                        temporary one
//
// Every process of a node, whoever started it, carries the node's run directory in its environment
// (HOLDFAST_RUN_DIR). So a node can be paused, cut off in mid-air like a machine whose power fails,
// and verified to be gone, without keeping books on its engines and guests.
//
// Invariant: a signal goes only to a process that was seen to carry that variable (or to descend
// from one that does), and never to another one that got its number.
//
// Its nodes reach each other by loopback, or each has a network namespace of its own, where links can be cut, one
// way too, delayed and made to lose frames, and where a node that is killed goes without a word.
//
// It is for one user. It sets no quota, isolates nothing else, and loses power only in the sense that processes die:
// the page cache survives.
package devcluster
