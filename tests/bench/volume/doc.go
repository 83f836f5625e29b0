// Command volume measures a mirrored volume of a local cluster beside what a user could put together instead: QEMU's
// quorum driver over two legs of tgt. Both are reached through an NBD socket. scripts/bench calls it.
package main
