// Package proc names processes of this machine so that no signal ever reaches the wrong one.
//
// A process number alone is reused by the kernel. An [ID] is the number with the start time and the
// boot; a [Handle] is a pidfd that was opened on that very process, so that a signal sent through it
// reaches it or nobody. [FindEnv] finds processes by a variable in their initial environment, which
// their descendants inherit, whatever session or parent they moved to.
//
// It reads /proc and needs Linux 5.4 or later. It starts no process.
package proc
