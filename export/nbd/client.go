package nbd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/block"
)

// The pauses between attempts to connect again.
const (
	reconnectPauseMin = 20 * time.Millisecond
	reconnectPauseMax = 500 * time.Millisecond
)

// disconnectTimeout bounds the wait for room to say goodbye.
const disconnectTimeout = 100 * time.Millisecond

// ClientOptions configures Dial.
type ClientOptions struct {
	// Reconnect is how long the client tries to connect again after it lost the server. Requests
	// that were not answered wait meanwhile and are then sent again: a request that was done twice
	// is as good as once, since its caller was not answered between. Zero never reconnects.
	Reconnect time.Duration
	// TLS is by what the client begins TLS with an address that has a Host; nil = by what is in the directory that
	// the address names.
	TLS *tls.Config
	// SimpleReplies keeps the client from asking for structured replies.
	SimpleReplies bool
}

// Client is an export as a block.Device. It is safe for use by many goroutines. When the server is
// lost for longer than ClientOptions.Reconnect, every request ends with block.ErrUnreachable, then
// and later.
type Client struct {
	block.Device // Blocking over the client's own Submit

	address Address
	options ClientOptions
	limits  block.Limits
	fua     bool // the server knows FUA

	mu      sync.Mutex // protects what follows; never held across I/O
	cookie  uint64
	pending map[uint64]*sent
	unsent  []*sent
	ended   error // why requests are refused: closed, or lost for good
	socket  net.Conn

	wake    chan struct{} // holds one token while there may be something to send
	quit    context.CancelFunc
	running sync.WaitGroup
}

// sent is one request that is not answered.
type sent struct {
	cookie  uint64
	request *block.Request
	arrived int64 // bytes of a structured read that have come
	errno   uint32
}

// Dial connects to the export and does the handshake. The context bounds that only. Close the
// client.
func Dial(ctx context.Context, address Address, o ClientOptions) (*Client, error) {
	c := &Client{address: address, options: o, pending: make(map[uint64]*sent), wake: make(chan struct{}, 1)}
	socket, export, agreed, err := connect(ctx, address, o)
	if err != nil {
		return nil, err
	}
	if c.limits, err = limitsOf(export); err != nil {
		return nil, errors.Join(fmt.Errorf("export %s: %w", address, err), socket.Close())
	}
	c.fua = export.Flags&flagSendFUA != 0
	c.Device = block.Blocking(c, c.limits, c.close)
	life, quit := context.WithCancel(context.Background())
	c.quit, c.socket = quit, socket
	c.running.Go(func() { c.run(life, socket, agreed) })
	return c, nil
}

func limitsOf(e exportInfo) (block.Limits, error) {
	l := block.Limits{
		SizeBytes:  int64(e.SizeBytes),
		BlockBytes: int64(max(e.MinBytes, 1)),
		MaxBytes:   int64(e.MaxBytes),
		ReadOnly:   e.Flags&flagReadOnly != 0,
		CanUnmap:   e.Flags&flagSendTrim != 0,
		Volatile:   e.Flags&flagSendFlush != 0,
	}
	if l.MaxBytes == 0 || l.MaxBytes > MaxPayloadBytes {
		l.MaxBytes = MaxPayloadBytes
	}
	if e.SizeBytes > 1<<62 || l.BlockBytes&(l.BlockBytes-1) != 0 || l.SizeBytes%l.BlockBytes != 0 {
		return l, fmt.Errorf("size %d and block %d are impossible", e.SizeBytes, e.MinBytes)
	}
	return l, nil
}

// Submit sends the request as soon as the connection takes it; see block.Queue. A write whose FUA
// the server does not know, and a request longer than the limits allow, is refused.
func (c *Client) Submit(r *block.Request) {
	if err := c.admit(r); err != nil {
		r.Complete(r, fmt.Errorf("export %s: %s %s: %w", c.address, r.Op, r.Range, err))
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Client) admit(r *block.Request) error {
	err := c.limits.Check(r.Op, r.Range, r.Flags)
	switch {
	case err != nil:
		return err
	case r.Range.Len > c.limits.MaxBytes:
		return fmt.Errorf("longer than %d bytes: %w", c.limits.MaxBytes, block.ErrOutOfRange)
	case r.Flags&block.FUA != 0 && !c.fua:
		return block.ErrUnsupported
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return c.ended
	}
	c.cookie++
	s := &sent{cookie: c.cookie, request: r}
	c.pending[s.cookie] = s
	c.unsent = append(c.unsent, s)
	return nil
}

// close ends the connection; it is the Close of the embedded Device. Requests in flight end with
// block.ErrClosed.
func (c *Client) close() error {
	c.mu.Lock()
	if errors.Is(c.ended, block.ErrClosed) {
		c.mu.Unlock()
		return fmt.Errorf("export %s: close: %w", c.address, block.ErrClosed)
	}
	c.ended = block.ErrClosed
	socket := c.socket
	c.mu.Unlock()
	c.quit()
	if socket != nil {
		// A server takes the end of the stream as well as NBD_CMD_DISC, so this is courtesy only.
		_ = socket.SetWriteDeadline(time.Now().Add(disconnectTimeout))
		_, _ = socket.Write(request{Type: cmdDisc}.append(nil))
		_ = socket.Close() // the reader reports it
	}
	c.running.Wait()
	return nil
}

// run keeps the client connected until it is closed or the server is lost for good.
func (c *Client) run(life context.Context, socket net.Conn, agreed agreement) {
	for {
		cause := c.session(socket, agreed)
		if life.Err() != nil || c.options.Reconnect == 0 {
			c.end(cause)
			return
		}
		var err error
		if socket, agreed, err = c.reconnect(life); err != nil {
			c.end(err)
			return
		}
	}
}

// session sends and receives on one connection until it fails.
func (c *Client) session(socket net.Conn, agreed agreement) error {
	var sender sync.WaitGroup
	stop := make(chan struct{})
	sender.Go(func() {
		if c.send(socket, stop) != nil {
			_ = socket.Close() // ends the reader, which reports
		}
	})
	err := c.receive(socket, agreed)
	_ = socket.Close() // ends the sender; what failed is in err
	close(stop)
	sender.Wait()
	return err
}

// reconnect tries until Reconnect has passed, and has everything sent again that is not answered.
func (c *Client) reconnect(life context.Context) (net.Conn, agreement, error) {
	ctx, cancel := context.WithTimeout(life, c.options.Reconnect)
	defer cancel()
	for wait := reconnectPauseMin; ; wait = min(2*wait, reconnectPauseMax) {
		socket, export, agreed, err := connect(ctx, c.address, c.options)
		if err == nil {
			if limits, limitsErr := limitsOf(export); limitsErr != nil || limits != c.limits {
				err = errors.New("the export has changed")
				return nil, agreed, errors.Join(err, limitsErr, socket.Close())
			}
			return socket, agreed, c.resend(socket)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, agreed, err
		}
	}
}

func (c *Client) resend(socket net.Conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return errors.Join(c.ended, socket.Close())
	}
	c.socket = socket
	c.unsent = c.unsent[:0]
	for _, s := range c.pending {
		s.arrived, s.errno = 0, 0
		c.unsent = append(c.unsent, s)
	}
	slices.SortFunc(c.unsent, func(a, b *sent) int { return cmp.Compare(a.cookie, b.cookie) })
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

// end fails everything that is not answered.
func (c *Client) end(cause error) {
	c.mu.Lock()
	if c.ended == nil {
		c.ended = fmt.Errorf("%w: %w", block.ErrUnreachable, cause)
	}
	err := c.ended
	failed := c.pending
	c.pending, c.unsent, c.socket = nil, nil, nil
	c.mu.Unlock()
	for _, s := range failed {
		r := s.request
		r.Complete(r, fmt.Errorf("export %s: %s %s: %w", c.address, r.Op, r.Range, err))
	}
}
