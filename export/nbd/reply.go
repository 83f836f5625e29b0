package nbd

import (
	"encoding/binary"
)

// reply is one thing to write: a chunk with a part's data, or the whole reply of a call.
type reply struct {
	call *call
	part *part // the data of one chunk of a structured read; nil otherwise
	last bool  // with it the call is answered
}

// writer writes the replies of one connection. It belongs to whoever writes.
type writer struct {
	conn    *conn
	sender  sender
	batch   []reply
	headers []byte
	vectors [][]byte
}

// headerBytesMax is the most that one reply adds to the headers.
const headerBytesMax = chunkHeaderBytes + chunkOffsetBytes

// inlineBursts is how many bursts whoever completes requests writes himself, before he leaves what others go on
// completing to the writer.
const inlineBursts = 4

// flush writes the replies that there are, as far as it goes without waiting: by whoever completed the requests,
// since to wake another goroutine costs more. What the socket has no room for, the writer goes on with. While
// somebody writes, others leave their replies to him.
func (c *conn) flush() {
	c.mu.Lock()
	if c.writing || c.closed || len(c.replies) == 0 {
		c.mu.Unlock()
		return
	}
	c.writing = true
	c.flushing.Add(1)
	c.mu.Unlock()
	defer c.flushing.Done()
	w := &c.writer
	for range inlineBursts {
		if !w.take() {
			return
		}
		done, err := w.sender.Start(w.vectors)
		if err == nil && !done {
			break
		}
		if !w.written(err) {
			return
		}
	}
	c.wake <- struct{}{}
}

// write goes on with what somebody else began to write, and waits for the socket, until stop is closed or the socket
// fails. It has the writer from the token in wake on, until there is nothing more to write.
func (c *conn) write(stop <-chan struct{}) {
	w := &c.writer
	for {
		select {
		case <-c.wake:
		case <-stop:
			return
		}
		if len(w.batch) > 0 && !w.written(w.sender.Finish()) {
			return
		}
		for w.take() {
			done, err := w.sender.Start(w.vectors)
			if err == nil && !done {
				err = w.sender.Finish()
			}
			if !w.written(err) {
				return
			}
		}
	}
}

// take takes the replies that there are. With none it reports false, and whoever comes next writes.
func (w *writer) take() bool {
	c := w.conn
	c.mu.Lock()
	c.writing = !c.closed && len(c.replies) > 0
	if c.writing {
		w.batch, c.replies = c.replies, w.batch[:0]
	}
	taken := c.writing
	c.mu.Unlock()
	if taken {
		w.assemble()
	}
	return taken
}

// written lets go of a batch, and reports whether more can be written.
func (w *writer) written(err error) bool {
	w.release()
	if err != nil {
		w.conn.fail(err)
	}
	return err == nil
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
	w.batch = w.batch[:0]
	clear(w.vectors[:cap(w.vectors)])
	c := w.conn
	c.mu.Lock()
	c.calls -= calls
	c.bytes -= bytes
	c.room.Broadcast()
	c.mu.Unlock()
}
