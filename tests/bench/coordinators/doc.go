// Command coordinators measures what a large cluster costs its coordinators: three real ones, as processes
// with their logs on a disk, and simulated nodes that speak the real peer protocol over mutual TLS, with no
// data behind it. scripts/bench coordinators runs it.
//
//	legs and hosts: simulated, one client each        coordinators: holdfast serve, three processes
//	engines: simulated, a client each for           ──▶ heartbeats, assignments, tickets,
//	their own heartbeats, tickets and commands          RecordFence, Activate, ConfirmConfig
package main
