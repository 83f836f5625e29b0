// Package netio writes to connections without waiting: what the socket has room for goes at once, on the caller's
// goroutine, and only the rest is left to one that may wait. A goroutine that is woken to write costs more than the
// write itself.
package netio
