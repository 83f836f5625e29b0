// Package image keeps the content of images on a node: files named by their digests, which guests boot from.
//
//	Assignment ──▶ Keeper (decide: which blob needs what, the most urgent first)
//	                 │ pull from another node · verify · tell the coordinators · remove
//	                 ▼
//	               Store: HEX, HEX.part, upload-ID, checked.json in one directory
//	                 ▲ ranges of blobs, uploads
//	               Handler ◀── other nodes, coordinators
//
// A blob is what its digest says, or it is nothing: a file counts only once all of it was read, or written, by this
// daemon and its digest was right. It is looked at again once a day, and when another node doubts what it was given.
// What is not right, or cannot be read, is put aside and fetched anew. Nothing here is precious: a node that was wiped
// gets it all again.
//
// Invariant: a file is under a digest's name only if its bytes had that digest when they were written, and were synced.
// Invariant: no other node and no guest is given a file that this daemon has not verified.
//
// What the package does not do: it decides neither who is to have a blob nor which a guest boots from.
package image
