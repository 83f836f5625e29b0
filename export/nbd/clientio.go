package nbd

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/holdfast-storage/holdfast/block"
)

// connect dials and does the client's side of the handshake.
func connect(ctx context.Context, a Address, o ClientOptions) (net.Conn, exportInfo, agreement, error) {
	config, err := a.clientTLS(o)
	if err != nil {
		return nil, exportInfo{}, agreement{}, fmt.Errorf("export %s: %w", a, err)
	}
	var dialer net.Dialer
	network, where := "unix", a.Socket
	if a.Host != "" {
		network, where = "tcp", a.Host
	}
	socket, err := dialer.DialContext(ctx, network, where)
	if err != nil {
		return nil, exportInfo{}, agreement{}, fmt.Errorf("export %s: %w: %w", a, block.ErrUnreachable, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() }) // ends the handshake, which reports
	stream, export, agreed, err := greet(socket, config, a.Name, o)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("export %s: handshake: %w", a, err)
		return nil, export, agreed, errors.Join(err, socket.Close())
	}
	return stream, export, agreed, nil
}

// greet does the fixed newstyle handshake up to NBD_OPT_GO, with config by TLS. It reads not one byte more than the
// handshake has, and returns what the rest goes through.
func greet(socket net.Conn, config *tls.Config, name string, o ClientOptions) (net.Conn, exportInfo, agreement, error) {
	if err := hail(socket); err != nil {
		return nil, exportInfo{}, agreement{}, err
	}
	if config != nil {
		refusal, err := ask(socket, optStartTLS, nil, nil)
		if err = errors.Join(err, refusal); err != nil {
			return nil, exportInfo{}, agreement{}, err
		}
		encrypted := tls.Client(socket, config)
		if err := encrypted.Handshake(); err != nil {
			return nil, exportInfo{}, agreement{}, fmt.Errorf("TLS: %w", err)
		}
		socket = encrypted
	}
	export, agreed, err := choose(socket, name, o)
	return socket, export, agreed, err
}

// hail reads the server's greeting and answers it.
func hail(rw io.ReadWriter) error {
	var hello [18]byte
	if _, err := io.ReadFull(rw, hello[:]); err != nil {
		return err
	}
	flags := binary.BigEndian.Uint16(hello[16:])
	if binary.BigEndian.Uint64(hello[:]) != magicServer ||
		binary.BigEndian.Uint64(hello[8:]) != magicOption || flags&flagFixedNewstyle == 0 {
		return fmt.Errorf("server's greeting: %w", errMagic)
	}
	// The zeroes that flagNoZeroes is about follow NBD_OPT_EXPORT_NAME only.
	_, err := rw.Write(binary.BigEndian.AppendUint32(nil, uint32(flagFixedNewstyle)))
	return err
}

// choose opens the export of a name.
func choose(rw io.ReadWriter, name string, o ClientOptions) (exportInfo, agreement, error) {
	var agreed agreement
	if !o.SimpleReplies {
		refusal, err := ask(rw, optStructuredReply, nil, nil)
		if err != nil {
			return exportInfo{}, agreed, err
		}
		agreed.structured = refusal == nil
	}
	var export exportInfo
	wanted := infoRequest{Name: name, Infos: []uint16{infoBlockSize}}
	refusal, err := ask(rw, optGo, wanted.append(nil), &export)
	return export, agreed, errors.Join(err, refusal)
}

// ask sends one option and reads replies until the final one. A refusal is a refusing reply, an
// error the end of the handshake. Infos are put into export, which may be nil.
func ask(rw io.ReadWriter, o option, data []byte, export *exportInfo) (refusal, err error) {
	if _, err := rw.Write(appendOption(nil, o, data)); err != nil {
		return nil, err
	}
	for range optionsMax {
		var raw [optReplyBytes]byte
		if _, err := io.ReadFull(rw, raw[:]); err != nil {
			return nil, err
		}
		h, err := parseOptReplyHeader(raw[:])
		if err != nil {
			return nil, err
		}
		answer := make([]byte, h.Length)
		if _, err := io.ReadFull(rw, answer); err != nil {
			return nil, err
		}
		switch {
		case h.Option != o:
			return nil, fmt.Errorf("server answered option %d, %d was asked", h.Option, o)
		case h.Reply == repAck:
			return nil, nil
		case h.Reply.isError():
			code := uint32(h.Reply) &^ (1 << 31)
			return fmt.Errorf("server refused option %d: %s (error %d)", o, answer, code), nil
		case h.Reply == repInfo && export != nil:
			if err := export.parseInfo(answer); err != nil {
				return nil, err
			}
		}
	}
	return nil, fmt.Errorf("server sent more than %d replies to option %d", optionsMax, o)
}

// send writes requests as they come until stop is closed or the socket fails.
func (c *Client) send(socket net.Conn, stop <-chan struct{}) error {
	var batch []*sent
	var headers []byte
	var vectors net.Buffers
	for {
		select {
		case <-c.wake:
		case <-stop:
			return nil
		}
		c.mu.Lock()
		batch, c.unsent = c.unsent, batch[:0]
		c.mu.Unlock()
		if need := len(batch) * requestBytes; cap(headers) < need {
			headers = make([]byte, 0, 2*need) // never grown below, since the vectors point into it
		}
		headers, vectors = headers[:0], vectors[:0]
		for _, s := range batch {
			from := len(headers)
			headers = c.header(s).append(headers)
			vectors = append(vectors, headers[from:])
			if s.request.Op == block.OpWrite {
				vectors = append(vectors, s.request.Data)
			}
		}
		sending := vectors
		if _, err := sending.WriteTo(socket); err != nil {
			return err
		}
	}
}

func (c *Client) header(s *sent) request {
	r := request{Cookie: s.cookie, Offset: uint64(s.request.Range.Off), Length: uint32(s.request.Range.Len)}
	if s.request.Flags&block.FUA != 0 && s.request.Op.Changes() {
		r.Flags |= cmdFlagFUA
	}
	switch s.request.Op {
	case block.OpRead:
		r.Type = cmdRead
	case block.OpWrite:
		r.Type = cmdWrite
	case block.OpFlush:
		r.Type, r.Offset, r.Length = cmdFlush, 0, 0
	case block.OpZero:
		// Not NBD_CMD_TRIM, which promises nothing about what is read afterwards.
		r.Type = cmdWriteZeroes
		if s.request.Flags&block.Unmap == 0 {
			r.Flags |= cmdFlagNoHole
		}
	}
	return r
}

// receive takes replies until the connection fails or the server breaks the protocol.
func (c *Client) receive(socket net.Conn, agreed agreement) error {
	reader := bufio.NewReaderSize(socket, readerBytes)
	for {
		magic, err := reader.Peek(4)
		if err != nil {
			return err
		}
		switch binary.BigEndian.Uint32(magic) {
		case magicSimple:
			err = c.simple(reader, agreed)
		case magicStructured:
			err = c.structured(reader)
		default:
			err = fmt.Errorf("server's reply: %w", errMagic)
		}
		if err != nil {
			return err
		}
	}
}

func (c *Client) simple(reader *bufio.Reader, agreed agreement) error {
	var raw [simpleReplyBytes]byte
	if _, err := io.ReadFull(reader, raw[:]); err != nil {
		return err
	}
	reply, err := parseSimpleReply(raw[:])
	if err != nil {
		return err
	}
	s, err := c.find(reply.Cookie)
	if err != nil {
		return err
	}
	if s.request.Op == block.OpRead {
		if agreed.structured {
			return errors.New("server answered a read with a simple reply after it agreed to structured ones")
		}
		if reply.Errno == 0 {
			if _, err := io.ReadFull(reader, s.request.Data); err != nil {
				return err
			}
		}
	}
	s.errno = reply.Errno
	return c.finish(s)
}

func (c *Client) structured(reader *bufio.Reader) error {
	var raw [chunkHeaderBytes]byte
	if _, err := io.ReadFull(reader, raw[:]); err != nil {
		return err
	}
	h, err := parseChunk(raw[:])
	if err != nil {
		return err
	}
	s, err := c.find(h.Cookie)
	if err != nil {
		return err
	}
	if err := s.chunk(reader, h); err != nil {
		return fmt.Errorf("server's structured reply: %w", err)
	}
	if h.Flags&chunkFlagDone == 0 {
		return nil
	}
	if s.errno == 0 && s.request.Op == block.OpRead && s.arrived != s.request.Range.Len {
		return fmt.Errorf("server ended a read of %d bytes after %d", s.request.Range.Len, s.arrived)
	}
	return c.finish(s)
}

// chunk takes up one chunk's payload.
func (s *sent) chunk(reader *bufio.Reader, h chunk) error {
	switch h.Type {
	case chunkNone:
		if h.Length != 0 {
			return errTruncated
		}
		return nil
	case chunkOffsetData, chunkOffsetHole:
		return s.data(reader, h)
	}
	if h.Type&(1<<15) == 0 || h.Length < chunkErrorBytes || h.Length > optionBytesMax {
		return fmt.Errorf("chunk of type %d and %d bytes", h.Type, h.Length)
	}
	body := make([]byte, h.Length)
	if _, err := io.ReadFull(reader, body); err != nil {
		return err
	}
	if s.errno = binary.BigEndian.Uint32(body); s.errno == 0 {
		s.errno = errnoIO
	}
	return nil
}

// data takes up bytes or a hole of a read. Chunks that overlap would hide bytes that never came, so
// their sum is checked against the length when the read is done.
func (s *sent) data(reader *bufio.Reader, h chunk) error {
	var raw [chunkOffsetBytes + 4]byte
	fixed := chunkOffsetBytes
	if h.Type == chunkOffsetHole {
		fixed += 4
	}
	if int(h.Length) < fixed || (h.Type == chunkOffsetHole && int(h.Length) != fixed) {
		return errTruncated
	}
	if _, err := io.ReadFull(reader, raw[:fixed]); err != nil {
		return err
	}
	part := block.Range{Off: int64(binary.BigEndian.Uint64(raw[:])), Len: int64(h.Length) - chunkOffsetBytes}
	if h.Type == chunkOffsetHole {
		part.Len = int64(binary.BigEndian.Uint32(raw[chunkOffsetBytes:]))
	}
	whole := s.request.Range
	if s.request.Op != block.OpRead || part.Intersect(whole) != part {
		return fmt.Errorf("data %s in answer to %s %s", part, s.request.Op, whole)
	}
	s.arrived += part.Len
	p := s.request.Data[part.Off-whole.Off:][:part.Len]
	if h.Type == chunkOffsetHole {
		clear(p)
		return nil
	}
	_, err := io.ReadFull(reader, p)
	return err
}

func (c *Client) find(cookie uint64) (*sent, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.pending[cookie]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("server answered request %d, which nobody asked", cookie)
}

// finish completes an answered request. A server that is shutting down did not do it: with
// Reconnect the request waits for the next one.
func (c *Client) finish(s *sent) error {
	if s.errno == errnoShutdown && c.options.Reconnect > 0 {
		return fmt.Errorf("server is shutting down: %w", block.ErrUnreachable)
	}
	c.mu.Lock()
	delete(c.pending, s.cookie)
	c.mu.Unlock()
	err := errorFor(s.errno)
	if err != nil {
		err = fmt.Errorf("export %s: %s %s: %w", c.address, s.request.Op, s.request.Range, err)
	}
	s.request.Complete(s.request, err)
	return nil
}
