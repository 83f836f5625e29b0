// Package volume holds the words that every part shares, as pure values: identities, epochs and
// configurations, layouts, the label of a leg, names on the wire. It does no I/O and imports the
// standard library only.
//
// The rules behind the words stand in docs/architecture.md and docs/safety.md.
package volume
