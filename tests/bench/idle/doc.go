// Command idle measures what attached volumes take of their host and of the storage nodes while nobody uses them:
// memory, processor time and wake-ups. scripts/bench calls it.
package main
