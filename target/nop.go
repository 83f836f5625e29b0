package target

import "github.com/holdfast-storage/holdfast/iscsi"

// handleNOPOut answers a ping, or takes the answer to one.
func (c *conn) handleNOPOut() error {
	ping, err := iscsi.ParseNOPOut(&c.header)
	if err != nil {
		return c.rejectAndEnd(iscsi.RejectProtocolError, "%w", err)
	}
	if taken, err := c.accept(); !taken {
		return err
	}
	n := c.header.DataLen()
	if ping.ITT == iscsi.ReservedTag {
		return nil // that it came is all there is to know
	}
	data := c.server.buffers.get(n)
	defer c.server.buffers.put(data)
	if err := c.reader.ReadData(data.b); err != nil {
		return err
	}
	pong := iscsi.NOPIn{LUN: ping.LUN, ITT: ping.ITT, TTT: iscsi.ReservedTag}
	var h iscsi.BHS
	pong.Encode(&h)
	c.mu.Lock()
	c.post(&h, data.b[:min(n, int(c.session.params.MaxSendDataSegmentLength))])
	c.mu.Unlock()
	return nil
}

// ping asks a silent initiator for a sign of life. The caller flushes.
func (c *conn) ping() {
	c.mu.Lock()
	c.lastTTT++
	if c.lastTTT == iscsi.ReservedTag {
		c.lastTTT = 0
	}
	pdu := iscsi.NOPIn{ITT: iscsi.ReservedTag, TTT: c.lastTTT}
	var h iscsi.BHS
	pdu.Encode(&h)
	c.postNext(&h, nil)
	c.mu.Unlock()
}
