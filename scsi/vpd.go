package scsi

import "encoding/binary"

// The vital product data pages that a Disk has (SPC-4 §7.8, SBC-3 §6.5).
const (
	vpdSupportedPages       = 0x00
	vpdUnitSerialNumber     = 0x80
	vpdDeviceIdentification = 0x83
	vpdThirdPartyCopy       = 0x8f
	vpdBlockLimits          = 0xb0
	vpdBlockCharacteristics = 0xb1
	vpdBlockProvisioning    = 0xb2
)

// vpdPage returns a whole page, header included; ok is false for a page that is not there.
func (d *Disk) vpdPage(page byte) (data []byte, ok bool) {
	var body []byte
	switch page {
	case vpdSupportedPages:
		body = []byte{vpdSupportedPages, vpdUnitSerialNumber, vpdDeviceIdentification}
		if !d.options.Leg {
			body = append(body, vpdThirdPartyCopy)
		}
		body = append(body, vpdBlockLimits, vpdBlockCharacteristics, vpdBlockProvisioning)
	case vpdUnitSerialNumber:
		body = []byte(d.options.Serial)
	case vpdDeviceIdentification:
		body = d.designators()
	case vpdThirdPartyCopy:
		if d.options.Leg {
			return nil, false
		}
		body = thirdPartyCopyPage()
	case vpdBlockLimits:
		body = d.blockLimits()
	case vpdBlockCharacteristics:
		body = make([]byte, 60)
		body[1] = 1 // MEDIUM ROTATION RATE: non-rotating
		if d.limits.CanUnmap && !d.options.Leg && !d.options.Volume {
			body[3] = 0x40 // WABEREQ 01b: after SANITIZE BLOCK ERASE blocks can be read
		}
	case vpdBlockProvisioning:
		body = d.blockProvisioning()
	default:
		return nil, false
	}
	head := []byte{0, page, byte(len(body) >> 8), byte(len(body))}
	return append(head, body...), true
}

// designators are the NAA designator and, for people, T10 vendor identification with the serial, which both
// name the logical unit (ASSOCIATION 00b), and the relative identifier of the only target port.
func (d *Disk) designators() []byte {
	const binaryCodes, asciiCodes, typeT10, typeNAA = 1, 2, 1, 3
	b := []byte{binaryCodes, typeNAA, 0, byte(len(d.options.NAA))}
	b = append(b, d.options.NAA...)

	// A designator is at most 255 bytes; a longer serial is cut here, page 80h has all of it.
	serial := d.options.Serial[:min(len(d.options.Serial), 255-8)]
	name := make([]byte, 8, 8+len(serial))
	padded(name, d.options.VendorID)
	name = append(name, serial...)
	b = append(b, asciiCodes, typeT10, 0, byte(len(name)))
	b = append(b, name...)
	const iscsiPort, typeRelativePort = transportISCSI << 4, 0x80 | 0x10 | 4 // PIV, ASSOCIATION 01b
	return append(b, iscsiPort|binaryCodes, typeRelativePort, 0, 4, 0, 0, 0, thePort)
}

// blockLimits is the body of the block limits page (SBC-3 §6.5.3), which starts at byte 4.
func (d *Disk) blockLimits() []byte {
	b := make([]byte, 60)
	b[0] = 1 // WSNZ: WRITE SAME of zero blocks is refused
	if !d.options.Leg {
		b[1] = byte(d.maxCompareBlocks()) // MAXIMUM COMPARE AND WRITE LENGTH
	}
	maxTransfer := uint32(d.options.MaxTransferBytes / d.blockBytes)
	granularity := uint32(max(1, physicalBlockBytes/d.blockBytes))
	binary.BigEndian.PutUint16(b[2:], uint16(granularity)) // OPTIMAL TRANSFER LENGTH GRANULARITY
	binary.BigEndian.PutUint32(b[4:], maxTransfer)         // MAXIMUM TRANSFER LENGTH
	binary.BigEndian.PutUint32(b[8:], min(maxTransfer, uint32(1<<20/d.blockBytes)))
	if d.limits.CanUnmap {
		binary.BigEndian.PutUint32(b[16:], uint32(maxUnmapBytes/d.blockBytes)) // MAXIMUM UNMAP LBA COUNT
		binary.BigEndian.PutUint32(b[20:], maxUnmapDescriptors)
		binary.BigEndian.PutUint32(b[24:], granularity)
		binary.BigEndian.PutUint32(b[28:], 1<<31) // UGAVALID, alignment 0
	}
	binary.BigEndian.PutUint64(b[32:], uint64(maxWriteSameBytes/d.blockBytes)) // MAXIMUM WRITE SAME LENGTH
	if d.options.Leg || d.options.Volume {
		return b
	}
	atomicUnit, maxAtomic := d.atomicBlocks()
	binary.BigEndian.PutUint32(b[40:], uint32(maxAtomic))  // MAXIMUM ATOMIC TRANSFER LENGTH
	binary.BigEndian.PutUint32(b[44:], uint32(atomicUnit)) // ATOMIC ALIGNMENT
	binary.BigEndian.PutUint32(b[48:], uint32(atomicUnit)) // ATOMIC TRANSFER LENGTH GRANULARITY
	return b
}

// blockProvisioning is the body of the logical block provisioning page (SBC-3 §6.5.4).
func (d *Disk) blockProvisioning() []byte {
	const lbpu, lbpws, lbpws10, lbprz, thin = 0x80, 0x40, 0x20, 0x04, 2
	b := make([]byte, 4)
	if d.limits.CanUnmap {
		b[1] = lbpu | lbpws | lbpws10 | lbprz
		b[2] = thin
	}
	return b
}

// BlockLimits is what an initiator needs of the block limits page, in logical blocks. Zero means
// that the unit states no limit.
type BlockLimits struct {
	MaxTransfer  uint64
	MaxWriteSame uint64
}

// ParseBlockLimits decodes the answer to INQUIRY for the block limits page. A page that is absent,
// another, or cut short states no limits.
func ParseBlockLimits(data []byte) (l BlockLimits) {
	if len(data) < 4 || data[1] != vpdBlockLimits {
		return l
	}
	if len(data) >= 12 {
		l.MaxTransfer = uint64(binary.BigEndian.Uint32(data[8:]))
	}
	if len(data) >= 44 {
		l.MaxWriteSame = binary.BigEndian.Uint64(data[36:])
	}
	return l
}

// WriteSameUnmaps reports whether the answer to INQUIRY for the logical block provisioning page
// says that WRITE SAME (16) with UNMAP frees blocks (LBPWS).
func WriteSameUnmaps(data []byte) bool {
	return len(data) >= 6 && data[1] == vpdBlockProvisioning && data[5]&0x40 != 0
}

// The pages that an initiator asks for with VPDCDB.
const (
	PageUnitSerialNumber     = vpdUnitSerialNumber
	PageDeviceIdentification = vpdDeviceIdentification
	PageBlockLimits          = vpdBlockLimits
	PageBlockProvisioning    = vpdBlockProvisioning
)
