package scsi

import (
	"context"
	"encoding/binary"
	"math"
	"sync"
)

// maxCopyResults bounds how many results a unit keeps; the oldest goes first.
const maxCopyResults = 64

// copyResults are the results of past EXTENDED COPY commands, for RECEIVE COPY RESULTS.
type copyResults struct {
	mu   sync.Mutex
	past []copyResult // the newest last
}

type copyResult struct {
	nexus    Nexus
	id       byte
	failed   bool
	segments uint16
	bytes    uint64
}

// keep remembers a result in place of an older one of the same nexus and list.
func (c *copyResults) keep(r copyResult) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, old := range c.past {
		if old.nexus == r.nexus && old.id == r.id {
			c.past = append(c.past[:i], c.past[i+1:]...)
			break
		}
	}
	if len(c.past) == maxCopyResults {
		c.past = append(c.past[:0], c.past[1:]...)
	}
	c.past = append(c.past, r)
}

// take returns a result and forgets it (SPC-4 §6.20).
func (c *copyResults) take(n Nexus, id byte) (r copyResult, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, old := range c.past {
		if old.nexus == n && old.id == id {
			c.past = append(c.past[:i], c.past[i+1:]...)
			return old, true
		}
	}
	return r, false
}

// copyStatus is RECEIVE COPY STATUS (LID1). EXTENDED COPY answers when it is done, so a copy is never
// found in progress.
func copyStatus(d *Disk, _ context.Context, cmd *Command, res *Response) {
	const done, failed = 0x01, 0x02
	const unitsKiB = 0x01
	r, ok := d.copies.take(cmd.Nexus, cmd.CDB[2])
	if !ok {
		res.refuse(senseInvalidFieldInCDB)
		return
	}
	data := make([]byte, 12)
	binary.BigEndian.PutUint32(data, uint32(len(data)-4))
	data[4] = done
	if r.failed {
		data[4] = failed
	}
	binary.BigEndian.PutUint16(data[5:], r.segments)
	if r.bytes <= math.MaxUint32 {
		binary.BigEndian.PutUint32(data[8:], uint32(r.bytes)) // TRANSFER COUNT UNITS zero: bytes
	} else {
		data[7] = unitsKiB
		binary.BigEndian.PutUint32(data[8:], uint32(min(r.bytes>>10, math.MaxUint32)))
	}
	res.Reply(cmd, data, int64(binary.BigEndian.Uint32(cmd.CDB[10:])))
}

// copyParameters is RECEIVE COPY OPERATING PARAMETERS (LID1).
func copyParameters(_ *Disk, _ context.Context, cmd *Command, res *Response) {
	data := make([]byte, 44, 46)
	data[4] = 1 // SNLID: a list may have no identifier
	binary.BigEndian.PutUint16(data[8:], maxCopyTargets)
	binary.BigEndian.PutUint16(data[10:], maxCopySegments)
	binary.BigEndian.PutUint32(data[12:], maxCopyList)
	binary.BigEndian.PutUint32(data[16:], maxCopySegmentBytes)
	binary.BigEndian.PutUint16(data[34:], maxKnownNexuses) // TOTAL CONCURRENT COPIES
	data[36] = maxCopyResults                              // MAXIMUM CONCURRENT COPIES
	data[37] = 9                                           // DATA SEGMENT GRANULARITY: 512 bytes
	data = append(data, segmentBlockToBlock, targetIdentification)
	data[43] = 2
	binary.BigEndian.PutUint32(data, uint32(len(data)-4))
	res.Reply(cmd, data, int64(binary.BigEndian.Uint32(cmd.CDB[10:])))
}
