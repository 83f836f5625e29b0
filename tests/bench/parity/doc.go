// Command parity measures a volume of parity=4+2 beside mirrors of two and three legs, all of one local cluster of six
// storage nodes, through their NBD sockets. scripts/bench calls it.
package main
