package target

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/iscsi"
)

// reject answers the current PDU with a Reject that carries its header (RFC 7143 §11.17).
func (c *conn) reject(reason iscsi.RejectReason) {
	pdu := iscsi.Reject{Reason: reason}
	var h iscsi.BHS
	pdu.Encode(&h)
	c.mu.Lock()
	c.post(&h, c.header[:])
	c.mu.Unlock()
}

// rejectAndEnd rejects the current PDU and returns the error that ends the connection: at error
// recovery level 0 that is how a session recovers (RFC 7143 §7.1).
func (c *conn) rejectAndEnd(reason iscsi.RejectReason, format string, args ...any) error {
	c.reject(reason)
	return fmt.Errorf("%w: %w", errProtocol, fmt.Errorf(format, args...))
}
