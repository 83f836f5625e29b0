package nbd

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// goodbyeTimeout bounds the wait for room to say that nothing more comes.
const goodbyeTimeout = 100 * time.Millisecond

// carriedBytesMax bounds what TLS says by itself while nobody writes, as its answers to a client that asks for ever
// new keys.
const carriedBytesMax = 2 * sealBytes

// secured is the TLS of one connection.
type secured struct {
	tls     *tls.Conn
	carrier *carrier
	state   tls.ConnectionState // as of the handshake
}

// startTLS does the TLS handshake, and has all that follows on the connection encrypted.
func (c *conn) startTLS() (io.ReadWriter, error) {
	// What lies behind the option was said in the clear, by whomever. Nothing of it may pass for the client's words.
	if n := c.reader.Buffered(); n > 0 {
		return nil, fmt.Errorf("client said %d bytes behind NBD_OPT_STARTTLS before it was answered", n)
	}
	k := &carrier{Conn: c.socket, reader: c.reader}
	s := &secured{tls: tls.Server(k, c.demand), carrier: k}
	if err := s.tls.Handshake(); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	s.state = s.tls.ConnectionState()
	if err := c.server.introduce(c, s); err != nil {
		return nil, err
	}
	c.stream, c.reader = s.tls, bufio.NewReaderSize(s.tls, readerBytes)
	c.writer.sender = newSealer(s, c.socket)
	return c.both(), nil
}

// farewell says in order that nothing more comes: without that a client has to take the end for an attack. Nobody
// writes any more.
func (s *secured) farewell() {
	s.carrier.collect(false)
	_ = s.carrier.Conn.SetWriteDeadline(time.Now().Add(goodbyeTimeout))
	_ = s.tls.CloseWrite() // whoever is gone needs no goodbye
}

// carrier is the connection below TLS. In the transmission phase it collects what TLS writes: whoever completes
// requests writes their replies without waiting for the socket, and tls.Conn can not be written to in that way.
type carrier struct {
	net.Conn
	reader *bufio.Reader

	mu         sync.Mutex // protects what follows; held across I/O only while nothing is collected
	collecting bool
	collected  []byte
	spare      []byte
}

// SetWriteDeadline leaves the deadline as it is: whoever writes sets it on the connection itself, for TLS has one of
// its own for its goodbye.
func (k *carrier) SetWriteDeadline(time.Time) error { return nil }

// Read implements io.Reader.
func (k *carrier) Read(p []byte) (int, error) { return k.reader.Read(p) }

// Write implements io.Writer.
func (k *carrier) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.collecting {
		if len(k.collected)+len(p) > carriedBytesMax {
			return 0, errors.New("the client has TLS say more than it takes")
		}
		k.collected = append(k.collected, p...)
		return len(p), nil
	}
	if len(k.collected) > 0 {
		_, err := k.Conn.Write(k.collected)
		k.collected = nil
		if err != nil {
			return 0, err
		}
	}
	return k.Conn.Write(p)
}

// collect begins to collect, or ends it: what is there goes before the next write.
func (k *carrier) collect(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.collecting = on
}

// take returns what was collected. It is the caller's until the next call.
func (k *carrier) take() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	taken := k.collected
	k.collected, k.spare = k.spare[:0], taken
	return taken
}
