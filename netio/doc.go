// Package netio reads and writes with few wake-ups. A Sender writes to a connection without waiting: what the socket
// has room for goes at once, on the caller's goroutine, and only the rest is left to one that may wait. A goroutine
// that is woken to write costs more than the write itself. A Conn is read on a thread that waits in the kernel while
// messages come in quick succession.
package netio
