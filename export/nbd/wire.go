package nbd

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The numbers of the NBD protocol, with its own names in comments where ours are shorter.
const (
	magicServer     uint64 = 0x4e42444d41474943 // NBDMAGIC
	magicOption     uint64 = 0x49484156454f5054 // IHAVEOPT
	magicOptReply   uint64 = 0x0003e889045565a9
	magicRequest    uint32 = 0x25609513 // NBD_REQUEST_MAGIC
	magicSimple     uint32 = 0x67446698 // NBD_SIMPLE_REPLY_MAGIC
	magicStructured uint32 = 0x668e33ef // NBD_STRUCTURED_REPLY_MAGIC
)

// Handshake flags, of the server and of the client.
const (
	flagFixedNewstyle uint16 = 1 << 0
	flagNoZeroes      uint16 = 1 << 1
)

// Transmission flags (NBD_FLAG_…).
const (
	flagHasFlags        uint16 = 1 << 0
	flagReadOnly        uint16 = 1 << 1
	flagSendFlush       uint16 = 1 << 2
	flagSendFUA         uint16 = 1 << 3
	flagSendTrim        uint16 = 1 << 5
	flagSendWriteZeroes uint16 = 1 << 6
	flagCanMultiConn    uint16 = 1 << 8
)

// command is NBD_CMD_….
type command uint16

const (
	cmdRead        command = 0
	cmdWrite       command = 1
	cmdDisc        command = 2
	cmdFlush       command = 3
	cmdTrim        command = 4
	cmdWriteZeroes command = 6
)

// Command flags (NBD_CMD_FLAG_…).
const (
	cmdFlagFUA    uint16 = 1 << 0
	cmdFlagNoHole uint16 = 1 << 1
)

// Errors on the wire.
const (
	errnoPerm     uint32 = 1
	errnoIO       uint32 = 5
	errnoInval    uint32 = 22
	errnoNoSpace  uint32 = 28
	errnoNotSup   uint32 = 95
	errnoShutdown uint32 = 108
)

// Types and flags of structured reply chunks (NBD_REPLY_TYPE_…).
const (
	chunkNone        uint16 = 0
	chunkOffsetData  uint16 = 1
	chunkOffsetHole  uint16 = 2
	chunkError       uint16 = 1<<15 | 1
	chunkErrorOffset uint16 = 1<<15 | 2

	chunkFlagDone uint16 = 1 << 0
)

// MaxPayloadBytes is the longest payload of one read or write.
const MaxPayloadBytes = 32 << 20

// The lengths of the fixed headers.
const (
	requestBytes      = 28
	simpleReplyBytes  = 16
	chunkHeaderBytes  = 20
	chunkOffsetBytes  = 8
	chunkErrorBytes   = 6
	optionHeaderBytes = 16
	optReplyBytes     = 20
)

// errTruncated means that a header or payload ends too early; errMagic that the peer does not
// speak NBD, or that the two ends have lost step. Neither can be recovered from.
var (
	errTruncated = errors.New("truncated")
	errMagic     = errors.New("bad magic number")
)

// request is the header of one request. A write's payload of Length bytes follows it.
type request struct {
	Flags  uint16
	Type   command
	Cookie uint64
	Offset uint64
	Length uint32
}

func parseRequest(b []byte) (request, error) {
	if len(b) < requestBytes {
		return request{}, fmt.Errorf("request: %w", errTruncated)
	}
	if binary.BigEndian.Uint32(b) != magicRequest {
		return request{}, fmt.Errorf("request: %w", errMagic)
	}
	return request{
		Flags:  binary.BigEndian.Uint16(b[4:]),
		Type:   command(binary.BigEndian.Uint16(b[6:])),
		Cookie: binary.BigEndian.Uint64(b[8:]),
		Offset: binary.BigEndian.Uint64(b[16:]),
		Length: binary.BigEndian.Uint32(b[24:]),
	}, nil
}

func (r request) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, magicRequest)
	b = binary.BigEndian.AppendUint16(b, r.Flags)
	b = binary.BigEndian.AppendUint16(b, uint16(r.Type))
	b = binary.BigEndian.AppendUint64(b, r.Cookie)
	b = binary.BigEndian.AppendUint64(b, r.Offset)
	return binary.BigEndian.AppendUint32(b, r.Length)
}

// simpleReply answers a request. After a read's success its data follows.
type simpleReply struct {
	Errno  uint32
	Cookie uint64
}

func parseSimpleReply(b []byte) (simpleReply, error) {
	if len(b) < simpleReplyBytes {
		return simpleReply{}, fmt.Errorf("simple reply: %w", errTruncated)
	}
	if binary.BigEndian.Uint32(b) != magicSimple {
		return simpleReply{}, fmt.Errorf("simple reply: %w", errMagic)
	}
	return simpleReply{Errno: binary.BigEndian.Uint32(b[4:]), Cookie: binary.BigEndian.Uint64(b[8:])}, nil
}

func (r simpleReply) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, magicSimple)
	b = binary.BigEndian.AppendUint32(b, r.Errno)
	return binary.BigEndian.AppendUint64(b, r.Cookie)
}

// chunk is the header of one structured reply chunk. Length bytes follow it.
type chunk struct {
	Flags  uint16
	Type   uint16
	Cookie uint64
	Length uint32
}

func parseChunk(b []byte) (chunk, error) {
	if len(b) < chunkHeaderBytes {
		return chunk{}, fmt.Errorf("structured reply: %w", errTruncated)
	}
	if binary.BigEndian.Uint32(b) != magicStructured {
		return chunk{}, fmt.Errorf("structured reply: %w", errMagic)
	}
	return chunk{
		Flags:  binary.BigEndian.Uint16(b[4:]),
		Type:   binary.BigEndian.Uint16(b[6:]),
		Cookie: binary.BigEndian.Uint64(b[8:]),
		Length: binary.BigEndian.Uint32(b[16:]),
	}, nil
}

func (c chunk) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, magicStructured)
	b = binary.BigEndian.AppendUint16(b, c.Flags)
	b = binary.BigEndian.AppendUint16(b, c.Type)
	b = binary.BigEndian.AppendUint64(b, c.Cookie)
	return binary.BigEndian.AppendUint32(b, c.Length)
}

// appendErrorChunk appends a whole final chunk that fails a structured read; it quotes no message.
func appendErrorChunk(b []byte, cookie uint64, errno uint32) []byte {
	b = chunk{Flags: chunkFlagDone, Type: chunkError, Cookie: cookie, Length: chunkErrorBytes}.append(b)
	b = binary.BigEndian.AppendUint32(b, errno)
	return binary.BigEndian.AppendUint16(b, 0)
}
