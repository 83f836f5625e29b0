package nbd

import (
	"net"

	"github.com/holdfast-storage/holdfast/netio"
)

// sender writes messages, as netio.Sender does: Start does not wait, and Finish writes what it left.
type sender interface {
	Start(message [][]byte) (done bool, err error)
	Finish() error
}

// recordBytes is how much one TLS record holds, and sealBytes how much is encrypted before it is written.
const (
	recordBytes = 16 << 10
	sealBytes   = 16 * recordBytes
)

// sealer is a sender that encrypts. It allocates nothing once it has seen as much as it seals at once.
type sealer struct {
	secured *secured
	socket  *netio.Sender
	all     net.Buffers // the pieces of the message
	rest    net.Buffers // the end of it that is not encrypted
	record  []byte      // pieces that are shorter than a record go together
	sealed  [1][]byte   // what is being written
}

func newSealer(s *secured, socket net.Conn) *sealer {
	return &sealer{secured: s, socket: netio.NewSender(socket), record: make([]byte, 0, recordBytes)}
}

// Start implements sender.
func (s *sealer) Start(message [][]byte) (bool, error) {
	s.all = append(s.all[:0], message...)
	s.rest = s.all
	for len(s.rest) > 0 {
		if done, err := s.next(); err != nil || !done {
			return false, err
		}
	}
	return true, nil
}

// Finish implements sender.
func (s *sealer) Finish() error {
	for {
		if err := s.socket.Finish(); err != nil {
			return err
		}
		if len(s.rest) == 0 {
			return nil
		}
		if _, err := s.next(); err != nil {
			return err
		}
	}
}

// next encrypts some more and begins to write it.
func (s *sealer) next() (bool, error) {
	for sealed := 0; len(s.rest) > 0 && sealed < sealBytes; {
		record := s.fill()
		if _, err := s.secured.tls.Write(record); err != nil {
			return false, err
		}
		sealed += len(record)
	}
	s.sealed[0] = s.secured.carrier.take()
	return s.socket.Start(s.sealed[:])
}

// fill returns what goes into the next record: of one piece as it is, or copied together from several.
func (s *sealer) fill() []byte {
	if first := s.rest[0]; len(first) >= recordBytes {
		s.advance(recordBytes)
		return first[:recordBytes]
	}
	s.record = s.record[:0]
	for len(s.rest) > 0 && len(s.record) < recordBytes {
		n := min(len(s.rest[0]), recordBytes-len(s.record))
		s.record = append(s.record, s.rest[0][:n]...)
		s.advance(n)
	}
	return s.record
}

// advance takes n bytes off the first piece.
func (s *sealer) advance(n int) {
	if s.rest[0] = s.rest[0][n:]; len(s.rest[0]) == 0 {
		s.rest[0] = nil
		s.rest = s.rest[1:]
	}
}
