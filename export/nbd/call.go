package nbd

import (
	"sync"

	"github.com/holdfast-storage/holdfast/block"
)

// zeroPartCost is what a part without payload counts as in the bound of bytes in flight.
const zeroPartCost = 256 << 10

// call is one request of a client from its header to its reply. It is pooled.
type call struct {
	request request
	op      block.Op
	flags   block.Flags
	whole   bool // a read with a simple reply: nothing is sent before all of it is there
	// The rest is under the connection's mutex.
	pending int     // parts that the queue has not completed, or that are not submitted yet
	errno   uint32  // of the first part that failed
	parts   []*part // with whole: the parts in order, until the reply is sent
}

// part is one block.Request of a call. It is pooled, with its block.Request and the bound function
// that completes it.
type part struct {
	block.Request
	conn   *conn
	call   *call
	buffer *buffer // nil without payload
	cost   int64
}

// pools keeps what requests need, for all connections of a server.
type pools struct {
	buffers bufferPools
	calls   sync.Pool
	parts   sync.Pool
}

func (p *pools) call() *call {
	if c, ok := p.calls.Get().(*call); ok {
		return c
	}
	return new(call)
}

func (p *pools) freeCall(c *call) {
	clear(c.parts)
	*c = call{parts: c.parts[:0]}
	p.calls.Put(c)
}

func (p *pools) part() *part {
	if q, ok := p.parts.Get().(*part); ok {
		return q
	}
	q := new(part)
	q.Complete = q.completed
	return q
}

func (p *pools) freePart(q *part) {
	q.buffer.free()
	complete := q.Complete
	*q = part{}
	q.Complete = complete
	p.parts.Put(q)
}

// completed is the part's block.Request.Complete.
func (q *part) completed(_ *block.Request, err error) { q.conn.completed(q, err) }

// plan splits a call into parts. Every part but the last has step bytes.
type plan struct {
	rest  block.Range
	step  int64
	count int
}

func planFor(r block.Range, step int64) plan {
	return plan{rest: r, step: step, count: int((r.Len + step - 1) / step)}
}

// next returns the next part's range.
func (p *plan) next() block.Range {
	r := block.Range{Off: p.rest.Off, Len: min(p.step, p.rest.Len)}
	p.rest = block.Range{Off: r.End(), Len: p.rest.Len - r.Len}
	return r
}
