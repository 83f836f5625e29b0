// Package lab is what the measurements share: a local cluster to measure on, what a process has taken of the machine,
// and the record of what was measured where.
package lab
