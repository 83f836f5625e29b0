// Package devnet is a network of machines on one machine, for `holdfast dev --network netns`: every node has a
// network namespace of its own with one interface, and a switch in user space carries the frames between them. The
// switch loses what a rule says: per direction, so that a cut can be one-way, all of it, a part of it, or it holds
// every frame for a while.
//
//	Switch    the ports and the rules; Serve lets other processes use it through a unix socket, by a Client
//	Rules     what one direction of a link does to its frames
//	Enter     runs a function, such as the start of a process, in a namespace
//
// A switch of our own, and not a bridge with nftables and netem, since those are parts of a kernel that many machines
// (containers, small guests) lack: this needs /dev/net/tun and root, and behaves the same everywhere. Frames are passed
// on as the kernel made them, with segmentation and checksums left undone, so that a frame of 64 KiB costs two system
// calls.
//
// The namespaces have no names and the interfaces are not persistent: with the switch's process and the last process
// in a namespace, all of it is gone, however they ended.
//
// It is for Linux and IPv4. It limits no bandwidth.
package devnet
