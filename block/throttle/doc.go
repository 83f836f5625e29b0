// Package throttle limits how fast requests go to a block.Queue: so many requests and so many bytes a second, reads
// and changes together, with what is not used saved up for a burst.
//
//	export ─ Submit ─▶ Throttle ─▶ block.Queue
//	                   └ those over the limit wait here, in order, for one timer
//
// What is over the limit waits in the order in which it came, and is never refused. A flush is not limited: it moves
// nothing of its own, and it covers only what was completed before. A zero that may free its space moves no bytes
// either and counts as a request alone; every other request counts its bytes in full. A request goes as soon as
// nothing is owed, whatever its length; what it costs beyond what was saved up is paid for before the next one goes.
//
// The core is pure: the time is an argument. The Throttle around it has a mutex, which is never held while a request
// is submitted, and one timer. Without a limit a request costs one atomic load, and no request costs an allocation
// once as many as wait have been seen.
package throttle
