// Package compare measures block servers side by side with fio: each job is run on the servers in turn, over and
// over, and what is reported are medians, and ratios taken round by round, which hold when the machine's speed
// drifts.
package compare
