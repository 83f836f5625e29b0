package scsi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// SenseKey is the coarse part of sense data (SPC-4 §4.5.6).
type SenseKey byte

// The sense keys of SPC-4.
const (
	NoSense        SenseKey = 0x0
	RecoveredError SenseKey = 0x1
	NotReady       SenseKey = 0x2
	MediumError    SenseKey = 0x3
	HardwareError  SenseKey = 0x4
	IllegalRequest SenseKey = 0x5
	UnitAttention  SenseKey = 0x6
	DataProtect    SenseKey = 0x7
	BlankCheck     SenseKey = 0x8
	VendorSpecific SenseKey = 0x9
	CopyAborted    SenseKey = 0xa
	AbortedCommand SenseKey = 0xb
	VolumeOverflow SenseKey = 0xd
	Miscompare     SenseKey = 0xe
	Completed      SenseKey = 0xf
)

// String returns the key as SPC-4 spells it.
func (k SenseKey) String() string {
	names := [16]string{
		"NO SENSE", "RECOVERED ERROR", "NOT READY", "MEDIUM ERROR", "HARDWARE ERROR",
		"ILLEGAL REQUEST", "UNIT ATTENTION", "DATA PROTECT", "BLANK CHECK", "VENDOR SPECIFIC",
		"COPY ABORTED", "ABORTED COMMAND", "RESERVED", "VOLUME OVERFLOW", "MISCOMPARE", "COMPLETED",
	}
	return names[k&0xf]
}

// Sense says why a command ended with CHECK CONDITION. The zero value is NO SENSE.
type Sense struct {
	Key       SenseKey
	ASC, ASCQ byte // additional sense code and its qualifier
	// Information is command-specific: an LBA, or the offset of the first byte that miscompared.
	// It counts only with Valid.
	Information uint64
	Valid       bool
	// Specific are the sense key specific bytes: the field that is wrong, or how far an operation
	// is. They count only with bit 7 of the first, SKSV (SPC-4 §4.5.2.4).
	Specific [3]byte
}

// senseCode is a sense without information: key, ASC and ASCQ, a byte each. Zero is "no objection".
type senseCode uint32

// The sense that this device server reports.
const (
	senseNotReady               senseCode = 0x020400
	senseSanitizing             senseCode = 0x02041b
	senseNoMedium               senseCode = 0x023a00
	senseSanitizeFailed         senseCode = 0x033103
	senseReadError              senseCode = 0x031100
	senseInternalFailure        senseCode = 0x044400
	senseInvalidFieldInIU       senseCode = 0x050e03
	senseListLength             senseCode = 0x051a00
	senseInvalidOpcode          senseCode = 0x052000
	senseLBAOutOfRange          senseCode = 0x052100
	senseInvalidFieldInCDB      senseCode = 0x052400
	senseLUNNotSupported        senseCode = 0x052500
	senseInvalidFieldInList     senseCode = 0x052600
	senseTooManyTargets         senseCode = 0x052606
	senseUnknownTarget          senseCode = 0x052607
	senseTooManySegments        senseCode = 0x052608
	senseUnknownSegment         senseCode = 0x052609
	senseRemovalPrevented       senseCode = 0x055302
	senseSavingNotSupported     senseCode = 0x053900
	senseInvalidRelease         senseCode = 0x052604
	senseRegistrationResources  senseCode = 0x055504
	sensePowerOn                senseCode = 0x062900
	senseReservationsPreempted  senseCode = 0x062a03
	senseReservationsReleased   senseCode = 0x062a04
	senseRegistrationsPreempted senseCode = 0x062a05
	senseWriteProtected         senseCode = 0x072700
	senseSpaceAllocation        senseCode = 0x072707
	senseCopyTarget             senseCode = 0x0a0d02
	senseCopyFailed             senseCode = 0x0a0d01
	senseCopyRange              senseCode = 0x0a0000
	senseCopyProtected          senseCode = 0x0a2700
	senseAborted                senseCode = 0x0b0000
	senseCommunicationFailed    senseCode = 0x0b0800
	senseLostData               senseCode = 0x0b4705
	senseMiscompare             senseCode = 0x0e1d00
)

func (c senseCode) sense() Sense {
	return Sense{Key: SenseKey(c >> 16), ASC: byte(c >> 8), ASCQ: byte(c)}
}

// atCDBByte points at the first byte of the CDB that is wrong.
func (s Sense) atCDBByte(n byte) Sense {
	s.Specific = [3]byte{0xc0, 0, n} // SKSV, C/D
	return s
}

// withProgress says how far an operation is, in 65536ths.
func (s Sense) withProgress(done uint16) Sense {
	s.Specific = [3]byte{0x80, byte(done >> 8), byte(done)}
	return s
}

func (s Sense) code() senseCode {
	return senseCode(s.Key&0xf)<<16 | senseCode(s.ASC)<<8 | senseCode(s.ASCQ)
}

// The response codes of current sense data (SPC-4 §4.5.1).
const (
	senseFixed      = 0x70
	senseDescriptor = 0x72

	// FixedSenseLen is the length of what AppendFixed appends, in bytes.
	FixedSenseLen = 18
)

// AppendFixed appends the sense in fixed format (SPC-4 §4.5.3), FixedSenseLen bytes. Information
// that does not fit into its four bytes is left out and VALID is zero, as the standard asks.
func (s Sense) AppendFixed(b []byte) []byte {
	var out [FixedSenseLen]byte
	out[0] = senseFixed
	if s.Valid && s.Information <= math.MaxUint32 {
		out[0] |= 0x80
		binary.BigEndian.PutUint32(out[3:], uint32(s.Information))
	}
	out[2] = byte(s.Key) & 0xf
	out[7] = FixedSenseLen - 8
	out[12], out[13] = s.ASC, s.ASCQ
	copy(out[15:], s.Specific[:])
	return append(b, out[:]...)
}

// AppendDescriptor appends the sense in descriptor format (SPC-4 §4.5.2), with an information
// descriptor if Information is valid.
func (s Sense) AppendDescriptor(b []byte) []byte {
	head := [8]byte{senseDescriptor, byte(s.Key) & 0xf, s.ASC, s.ASCQ}
	at := len(b)
	b = append(b, head[:]...)
	if s.Valid {
		b = append(b, 0x00, 0x0a, 0x80, 0x00)
		b = binary.BigEndian.AppendUint64(b, s.Information)
	}
	if s.Specific[0]&0x80 != 0 {
		b = append(b, 0x02, 0x06, 0, 0, s.Specific[0], s.Specific[1], s.Specific[2], 0)
	}
	b[at+7] = byte(len(b) - at - 8)
	return b
}

// errShortSense and errSenseFormat are what ParseSense refuses.
var (
	errShortSense  = errors.New("sense data ends before its key and codes")
	errSenseFormat = errors.New("sense data of unknown format")
)

// ParseSense decodes sense data of either format, current or deferred. Targets may cut sense data
// short: what is needed is the key; codes that are not there are zero.
func ParseSense(b []byte) (Sense, error) {
	if len(b) < 3 {
		return Sense{}, errShortSense
	}
	switch b[0] & 0x7f {
	case senseFixed, senseFixed + 1:
		return parseFixed(b), nil
	case senseDescriptor, senseDescriptor + 1:
		return parseDescriptor(b), nil
	}
	return Sense{}, errSenseFormat
}

func parseFixed(b []byte) Sense {
	s := Sense{Key: SenseKey(b[2] & 0xf)}
	if b[0]&0x80 != 0 && len(b) >= 7 {
		s.Valid, s.Information = true, uint64(binary.BigEndian.Uint32(b[3:]))
	}
	if len(b) >= 14 {
		s.ASC, s.ASCQ = b[12], b[13]
	}
	return s
}

func parseDescriptor(b []byte) Sense {
	s := Sense{Key: SenseKey(b[1] & 0xf), ASC: b[2]}
	if len(b) >= 4 {
		s.ASCQ = b[3]
	}
	if len(b) < 8 {
		return s
	}
	rest := b[8:min(len(b), 8+int(b[7]))]
	for len(rest) >= 2 {
		size := 2 + int(rest[1])
		if size > len(rest) {
			return s
		}
		if rest[0] == 0x00 && size == 12 && rest[2]&0x80 != 0 {
			s.Valid, s.Information = true, binary.BigEndian.Uint64(rest[4:])
		}
		rest = rest[size:]
	}
	return s
}

// String returns the sense as people look it up: the key's name, then key/ASC/ASCQ in hex and the
// code's text if it is one that this package reports.
func (s Sense) String() string {
	text := s.Key.String()
	if code := s.codeText(); code != "" {
		text += ", " + code
	}
	return fmt.Sprintf("%s (%02x/%02x/%02x)", text, byte(s.Key), s.ASC, s.ASCQ)
}

func (s Sense) codeText() string {
	switch s.code() & 0xffff {
	case 0x0800:
		return "LOGICAL UNIT COMMUNICATION FAILURE"
	case 0x0400:
		return "LOGICAL UNIT NOT READY"
	case 0x041b:
		return "LOGICAL UNIT NOT READY, SANITIZE IN PROGRESS"
	case 0x3a00:
		return "MEDIUM NOT PRESENT"
	case 0x3103:
		return "SANITIZE COMMAND FAILED"
	case 0x2604:
		return "INVALID RELEASE OF PERSISTENT RESERVATION"
	case 0x2a03:
		return "RESERVATIONS PREEMPTED"
	case 0x2a04:
		return "RESERVATIONS RELEASED"
	case 0x2a05:
		return "REGISTRATIONS PREEMPTED"
	case 0x5504:
		return "INSUFFICIENT REGISTRATION RESOURCES"
	case 0x2606:
		return "TOO MANY TARGET DESCRIPTORS"
	case 0x2607:
		return "UNSUPPORTED TARGET DESCRIPTOR TYPE CODE"
	case 0x2608:
		return "TOO MANY SEGMENT DESCRIPTORS"
	case 0x2609:
		return "UNSUPPORTED SEGMENT DESCRIPTOR TYPE CODE"
	case 0x5302:
		return "MEDIUM REMOVAL PREVENTED"
	case 0x0d01:
		return "THIRD PARTY DEVICE FAILURE"
	case 0x0d02:
		return "COPY TARGET DEVICE NOT REACHABLE"
	case 0x0e03:
		return "INVALID FIELD IN COMMAND INFORMATION UNIT"
	case 0x1100:
		return "UNRECOVERED READ ERROR"
	case 0x1a00:
		return "PARAMETER LIST LENGTH ERROR"
	case 0x1d00:
		return "MISCOMPARE DURING VERIFY OPERATION"
	case 0x2000:
		return "INVALID COMMAND OPERATION CODE"
	case 0x2100:
		return "LOGICAL BLOCK ADDRESS OUT OF RANGE"
	case 0x2400:
		return "INVALID FIELD IN CDB"
	case 0x2500:
		return "LOGICAL UNIT NOT SUPPORTED"
	case 0x2600:
		return "INVALID FIELD IN PARAMETER LIST"
	case 0x2700:
		return "WRITE PROTECTED"
	case 0x2707:
		return "SPACE ALLOCATION FAILED WRITE PROTECT"
	case 0x2900:
		return "POWER ON, RESET, OR BUS DEVICE RESET OCCURRED"
	case 0x3900:
		return "SAVING PARAMETERS NOT SUPPORTED"
	case 0x4705:
		return "PROTOCOL SERVICE CRC ERROR"
	case 0x4400:
		return "INTERNAL TARGET FAILURE"
	}
	return ""
}
