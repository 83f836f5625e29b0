package scsi

import (
	"encoding/binary"
	"math"
)

// What one EXTENDED COPY may ask for, as RECEIVE COPY RESULTS and page 8Fh say.
const (
	maxCopyTargets  = 8
	maxCopySegments = 32
	maxCopyList     = maxCopyTargets*copyTargetBytes + maxCopySegments*copySegmentBytes

	// maxCopySegmentBytes is MAXIMUM SEGMENT LENGTH. A segment counts its blocks in 16 bits.
	maxCopySegmentBytes = 65535 * 4096

	copyHeaderBytes  = 16
	copyTargetBytes  = 32
	copySegmentBytes = 28

	targetIdentification = 0xe4
	segmentBlockToBlock  = 0x02
)

// copyList is the parameter list of EXTENDED COPY (LID1) (SPC-4 §6.4.3).
type copyList struct {
	id       byte
	hold     bool     // LIST ID USAGE: results are kept under id
	targets  [][]byte // NAA designators; nil for one that names no unit in a way known here
	segments []copySegment
}

type copySegment struct {
	source, destination uint16 // indices of targets
	blocks              uint16 // of the unit that dc names
	dc                  bool   // the count is in blocks of the destination
	sourceLBA           uint64
	destinationLBA      uint64
}

// parseCopyList decodes a parameter list that is there in full, or says why it is refused.
func parseCopyList(list []byte) (c copyList, sense senseCode) {
	if len(list) < copyHeaderBytes {
		return c, senseListLength
	}
	targetBytes := int(binary.BigEndian.Uint16(list[2:]))
	segmentBytes := int64(binary.BigEndian.Uint32(list[8:]))
	inlineBytes := binary.BigEndian.Uint32(list[12:])
	descriptors := list[copyHeaderBytes:]
	if int64(targetBytes)+segmentBytes > int64(min(len(descriptors), maxCopyList)) {
		return c, senseListLength
	}
	if inlineBytes != 0 || targetBytes%copyTargetBytes != 0 {
		return c, senseInvalidFieldInList
	}
	c.id, c.hold = list[0], list[1]>>3&3 != 3
	if c.targets, sense = parseCopyTargets(descriptors[:targetBytes]); sense != 0 {
		return c, sense
	}
	c.segments, sense = parseCopySegments(descriptors[targetBytes:][:segmentBytes])
	return c, sense
}

func parseCopyTargets(b []byte) (targets [][]byte, sense senseCode) {
	if len(b) > maxCopyTargets*copyTargetBytes {
		return nil, senseTooManyTargets
	}
	for ; len(b) > 0; b = b[copyTargetBytes:] {
		if b[0] != targetIdentification {
			return nil, senseUnknownTarget
		}
		const typeNAA = 3
		var naa []byte
		if length := int(b[7]); b[5]&0x0f == typeNAA && length <= 16 {
			naa = b[8:][:length]
		}
		targets = append(targets, naa)
	}
	return targets, 0
}

func parseCopySegments(b []byte) (segments []copySegment, sense senseCode) {
	for len(b) > 0 {
		if b[0] != segmentBlockToBlock {
			return nil, senseUnknownSegment
		}
		if len(b) < copySegmentBytes || binary.BigEndian.Uint16(b[2:]) != copySegmentBytes-4 {
			return nil, senseInvalidFieldInList
		}
		if len(segments) == maxCopySegments {
			return nil, senseTooManySegments
		}
		segments = append(segments, copySegment{
			dc:             b[1]&2 != 0,
			source:         binary.BigEndian.Uint16(b[4:]),
			destination:    binary.BigEndian.Uint16(b[6:]),
			blocks:         binary.BigEndian.Uint16(b[10:]),
			sourceLBA:      binary.BigEndian.Uint64(b[12:]),
			destinationLBA: binary.BigEndian.Uint64(b[20:]),
		})
		b = b[copySegmentBytes:]
	}
	return segments, 0
}

// thirdPartyCopyPage is the body of the third party copy page (SPC-4 §7.8.17).
func thirdPartyCopyPage() []byte {
	var b []byte
	descriptor := func(kind uint16, data ...byte) {
		for len(data)%4 != 0 {
			data = append(data, 0)
		}
		b = binary.BigEndian.AppendUint16(b, kind)
		b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
		b = append(b, data...)
	}
	descriptor(0x0001, 7, // supported commands: opcode, number of service actions, service actions
		opExtendedCopy, 1, 0, opReceiveCopyResults, 2, saCopyStatus, saOperatingParameters)

	parameters := make([]byte, 28)
	binary.BigEndian.PutUint16(parameters[4:], maxCopyTargets)
	binary.BigEndian.PutUint16(parameters[6:], maxCopySegments)
	binary.BigEndian.PutUint32(parameters[8:], maxCopyList)
	descriptor(0x0004, parameters...)

	descriptor(0x0008, 2, segmentBlockToBlock, targetIdentification)

	general := make([]byte, 32)
	binary.BigEndian.PutUint32(general[0:], maxKnownNexuses)
	binary.BigEndian.PutUint32(general[4:], maxCopyResults)
	binary.BigEndian.PutUint32(general[8:], maxCopySegmentBytes)
	general[12] = uint8(math.Log2(512)) // DATA SEGMENT GRANULARITY
	descriptor(0x8001, general...)
	return b
}
