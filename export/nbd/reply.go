package nbd

import (
	"encoding/binary"
	"net"
)

// reply is one thing to write: a chunk with a part's data, or the whole reply of a call.
type reply struct {
	call *call
	part *part // the data of one chunk of a structured read; nil otherwise
	last bool  // with it the call is answered
}

// writer writes the replies of one connection. One goroutine owns it.
type writer struct {
	conn    *conn
	batch   []reply
	headers []byte
	vectors net.Buffers
	sending net.Buffers // what WriteTo consumes: a copy of the slice header of vectors
}

// headerBytesMax is the most that one reply adds to the headers.
const headerBytesMax = chunkHeaderBytes + chunkOffsetBytes

// write writes replies until stop is closed or the socket fails. What piled up while it wrote goes
// out with the next system call.
func (c *conn) write(stop <-chan struct{}) error {
	w := &writer{conn: c}
	for {
		select {
		case <-c.wake:
		case <-stop:
			return nil
		}
		if err := w.burst(); err != nil {
			c.hangUp()
			return err
		}
	}
}

func (w *writer) burst() error {
	c := w.conn
	c.mu.Lock()
	w.batch, c.replies = c.replies, w.batch[:0]
	c.mu.Unlock()
	w.assemble()
	w.sending = w.vectors
	_, err := w.sending.WriteTo(c.socket)
	w.release()
	return err
}

// assemble lays the replies out as headers and payloads. The headers are all in one slice that has
// room for them, so that the vectors that point into it stay valid.
func (w *writer) assemble() {
	if need := len(w.batch) * headerBytesMax; cap(w.headers) < need {
		w.headers = make([]byte, 0, 2*need)
	}
	w.headers, w.vectors = w.headers[:0], w.vectors[:0]
	from := 0 // start of the headers that no vector covers yet
	for i := range w.batch {
		r := &w.batch[i]
		w.header(r)
		if !r.hasData() {
			continue
		}
		w.vectors = append(w.vectors, w.headers[from:])
		from = len(w.headers)
		if r.part != nil {
			w.vectors = append(w.vectors, r.part.Data)
		}
		if r.part == nil {
			for _, q := range r.call.parts {
				w.vectors = append(w.vectors, q.Data)
			}
		}
	}
	if from < len(w.headers) {
		w.vectors = append(w.vectors, w.headers[from:])
	}
}

func (r *reply) hasData() bool {
	return r.part != nil || (r.call.whole && r.call.errno == 0 && len(r.call.parts) > 0)
}

func (w *writer) header(r *reply) {
	k := r.call
	cookie := k.request.Cookie
	switch {
	case r.part != nil:
		var flags uint16
		if r.last {
			flags = chunkFlagDone
		}
		length := uint32(chunkOffsetBytes + len(r.part.Data))
		w.headers = chunk{flags, chunkOffsetData, cookie, length}.append(w.headers)
		w.headers = binary.BigEndian.AppendUint64(w.headers, uint64(r.part.Range.Off))
	case w.conn.agreed.structured && k.request.Type == cmdRead && k.errno != 0:
		w.headers = appendErrorChunk(w.headers, cookie, k.errno)
	case w.conn.agreed.structured && k.request.Type == cmdRead:
		w.headers = chunk{chunkFlagDone, chunkNone, cookie, 0}.append(w.headers)
	default:
		w.headers = simpleReply{k.errno, cookie}.append(w.headers)
	}
}

// release frees what the batch held and makes room for further requests.
func (w *writer) release() {
	calls, bytes := 0, int64(0)
	pools := &w.conn.server.pools
	for i := range w.batch {
		r := &w.batch[i]
		if r.part != nil {
			bytes += r.part.cost
			pools.freePart(r.part)
		}
		for _, q := range r.call.parts {
			bytes += q.cost
			pools.freePart(q)
		}
		if r.last || r.call.whole {
			calls++
			pools.freeCall(r.call)
		}
	}
	clear(w.batch)
	clear(w.vectors[:cap(w.vectors)])
	c := w.conn
	c.mu.Lock()
	c.calls -= calls
	c.bytes -= bytes
	c.room.Broadcast()
	c.mu.Unlock()
}
