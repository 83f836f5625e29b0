// Command failover measures how long guests are without their disk when something dies, on a local cluster of
// real processes: ./scripts/bench failover. Each fault meets several guests, each with a volume and a domain of
// its own. What the cluster's own record of the operation says is set against the moment at which the fault was
// made, by the one clock of the machine.
package main
