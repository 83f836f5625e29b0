// Package block is the waist of the product: what a block device is, for every layer that
// offers one (a file, a leg, a remote LUN, a volume) and every layer that uses one.
//
// There are two forms of the same thing. A [Device] blocks the caller; it suits tools, the iSCSI
// target and tests. A [Queue] takes a [Request] and completes it later; it suits the data path of
// the engine, where a goroutine for each request would cost more than the request. [Blocking]
// makes a Device from a Queue.
//
// Offsets and lengths are bytes. A device promises all or an error, never a short transfer.
// Durability is explicit: a completed write may sit in a cache until a completed flush, or the
// write's own FUA flag, has put it on stable storage.
package block
