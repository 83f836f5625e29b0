package nbd

import (
	"encoding/binary"
	"fmt"
)

// option is NBD_OPT_….
type option uint32

const (
	optExportName      option = 1
	optAbort           option = 2
	optList            option = 3
	optStartTLS        option = 5
	optInfo            option = 6
	optGo              option = 7
	optStructuredReply option = 8
)

// optReply is NBD_REP_….
type optReply uint32

const (
	repAck        optReply = 1
	repServer     optReply = 2
	repInfo       optReply = 3
	repErrUnsup   optReply = 1<<31 | 1
	repErrInvalid optReply = 1<<31 | 3
	repErrTLSReqd optReply = 1<<31 | 5
	repErrUnknown optReply = 1<<31 | 6
)

// isError reports whether the reply refuses its option.
func (r optReply) isError() bool { return r&(1<<31) != 0 }

// Kinds of NBD_REP_INFO (NBD_INFO_…).
const (
	infoExport    uint16 = 0
	infoName      uint16 = 1
	infoBlockSize uint16 = 3
)

// nameBytesMax is the longest export name that the protocol allows; optionBytesMax bounds the data
// of any option and of its replies.
const (
	nameBytesMax   = 4096
	optionBytesMax = 64 << 10
)

// optionHeader is the header of one option request. Length bytes of data follow it.
type optionHeader struct {
	Option option
	Length uint32
}

func parseOptionHeader(b []byte) (optionHeader, error) {
	if len(b) < optionHeaderBytes {
		return optionHeader{}, fmt.Errorf("option: %w", errTruncated)
	}
	if binary.BigEndian.Uint64(b) != magicOption {
		return optionHeader{}, fmt.Errorf("option: %w", errMagic)
	}
	h := optionHeader{option(binary.BigEndian.Uint32(b[8:])), binary.BigEndian.Uint32(b[12:])}
	if h.Length > optionBytesMax {
		return optionHeader{}, fmt.Errorf("option %d: %d bytes of data, at most %d are taken",
			h.Option, h.Length, optionBytesMax)
	}
	return h, nil
}

func appendOption(b []byte, o option, data []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, magicOption)
	b = binary.BigEndian.AppendUint32(b, uint32(o))
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

// optReplyHeader is the header of one option reply. Length bytes of data follow it.
type optReplyHeader struct {
	Option option
	Reply  optReply
	Length uint32
}

func parseOptReplyHeader(b []byte) (optReplyHeader, error) {
	if len(b) < optReplyBytes {
		return optReplyHeader{}, fmt.Errorf("option reply: %w", errTruncated)
	}
	if binary.BigEndian.Uint64(b) != magicOptReply {
		return optReplyHeader{}, fmt.Errorf("option reply: %w", errMagic)
	}
	h := optReplyHeader{
		Option: option(binary.BigEndian.Uint32(b[8:])),
		Reply:  optReply(binary.BigEndian.Uint32(b[12:])),
		Length: binary.BigEndian.Uint32(b[16:]),
	}
	if h.Length > optionBytesMax {
		return optReplyHeader{}, fmt.Errorf("option reply: %d bytes of data, at most %d are taken",
			h.Length, optionBytesMax)
	}
	return h, nil
}

func appendOptReply(b []byte, o option, r optReply, data []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, magicOptReply)
	b = binary.BigEndian.AppendUint32(b, uint32(o))
	b = binary.BigEndian.AppendUint32(b, uint32(r))
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

// infoRequest is the data of NBD_OPT_INFO and NBD_OPT_GO.
type infoRequest struct {
	Name  string
	Infos []uint16
}

func parseInfoRequest(b []byte) (infoRequest, error) {
	if len(b) < 4 {
		return infoRequest{}, fmt.Errorf("info request: %w", errTruncated)
	}
	nameLen := binary.BigEndian.Uint32(b)
	b = b[4:]
	if nameLen > nameBytesMax || int(nameLen)+2 > len(b) {
		return infoRequest{}, fmt.Errorf("info request: name of %d bytes: %w", nameLen, errTruncated)
	}
	r := infoRequest{Name: string(b[:nameLen])}
	b = b[nameLen:]
	count := int(binary.BigEndian.Uint16(b))
	b = b[2:]
	if len(b) != 2*count {
		return infoRequest{}, fmt.Errorf("info request: %d items in %d bytes: %w",
			count, len(b), errTruncated)
	}
	for i := range count {
		r.Infos = append(r.Infos, binary.BigEndian.Uint16(b[2*i:]))
	}
	return r, nil
}

func (r infoRequest) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Name)))
	b = append(b, r.Name...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Infos)))
	for _, info := range r.Infos {
		b = binary.BigEndian.AppendUint16(b, info)
	}
	return b
}

// exportInfo is what the handshake says of an export.
type exportInfo struct {
	Name      string
	Alias     string // Options.Alias; never sent
	SizeBytes uint64
	Flags     uint16
	// Block sizes: the smallest and the preferred unit, and the longest payload.
	MinBytes, PreferredBytes, MaxBytes uint32
}

func (e exportInfo) appendExport(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, infoExport)
	return e.appendSizeAndFlags(b)
}

func (e exportInfo) appendSizeAndFlags(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, e.SizeBytes)
	return binary.BigEndian.AppendUint16(b, e.Flags)
}

func (e exportInfo) appendName(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, infoName)
	return append(b, e.Name...)
}

func (e exportInfo) appendBlockSize(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, infoBlockSize)
	b = binary.BigEndian.AppendUint32(b, e.MinBytes)
	b = binary.BigEndian.AppendUint32(b, e.PreferredBytes)
	return binary.BigEndian.AppendUint32(b, e.MaxBytes)
}

// parseInfo takes up one NBD_REP_INFO payload; kinds it does not know are skipped.
func (e *exportInfo) parseInfo(b []byte) error {
	if len(b) < 2 {
		return fmt.Errorf("info: %w", errTruncated)
	}
	kind := binary.BigEndian.Uint16(b)
	b = b[2:]
	switch kind {
	case infoExport:
		if len(b) != 10 {
			return fmt.Errorf("info about the export: %w", errTruncated)
		}
		e.SizeBytes, e.Flags = binary.BigEndian.Uint64(b), binary.BigEndian.Uint16(b[8:])
	case infoName:
		e.Name = string(b)
	case infoBlockSize:
		if len(b) != 12 {
			return fmt.Errorf("info about block sizes: %w", errTruncated)
		}
		e.MinBytes, e.PreferredBytes = binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		e.MaxBytes = binary.BigEndian.Uint32(b[8:])
	}
	return nil
}
