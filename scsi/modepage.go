package scsi

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"

	"github.com/holdfast-storage/holdfast/block"
)

// The mode pages that a Disk has, and the numbers that stand for several.
const (
	pageCaching  = 0x08
	pageControl  = 0x0a
	pageAll      = 0x3f
	subpageNone  = 0x00
	subpageEvery = 0xff
)

// Device-specific parameter of the mode parameter header (SBC-3 §6.4.1).
const (
	modeWriteProtect = 0x80
	modeDPOFUA       = 0x10

	swpByte, bitSWP = 4, 0x08 // SOFTWARE WRITE PROTECT in the control mode page
)

// modePages are a unit's mode pages, current values, in ascending order of their code. Of all
// that is in them only SWP can be changed, and nothing can be saved: the write cache is the block
// device's own affair.
type modePages struct {
	deviceSpecific byte
	pages          [][]byte
}

func newModePages(l block.Limits) modePages {
	caching := make([]byte, 20)
	caching[0], caching[1] = pageCaching, 18
	if l.Volatile {
		caching[2] |= 0x04 // WCE
	}
	control := make([]byte, 12)
	control[0], control[1] = pageControl, 10
	control[5] = 0x40 // TAS: a command that another nexus ended is answered with TASK ABORTED
	control[3] = 0x10 // QUEUE ALGORITHM MODIFIER 1: unrestricted reordering
	binary.BigEndian.PutUint16(control[8:], 0xffff)
	m := modePages{deviceSpecific: modeDPOFUA, pages: [][]byte{caching, control}}
	if l.ReadOnly {
		m.deviceSpecific |= modeWriteProtect
	}
	return m
}

// What MODE SENSE is asked for (PAGE CONTROL, SPC-4 §6.13).
const (
	valuesCurrent = iota
	valuesChangeable
	_ // the default values, which are the current ones
	valuesSaved
)

// modeSense is MODE SENSE (6/10).
func modeSense(d *Disk, _ context.Context, cmd *Command, res *Response) {
	control, page, subpage := cmd.CDB[2]>>6, cmd.CDB[2]&0x3f, cmd.CDB[3]
	if control == valuesSaved {
		res.refuse(senseSavingNotSupported)
		return
	}
	pages, ok := d.modes.appendPages(nil, page, subpage, control == valuesChangeable, d.protect.Load())
	deviceSpecific := d.modes.deviceSpecific
	if d.writeProtected() {
		deviceSpecific |= modeWriteProtect
	}
	if !ok {
		res.refuse(senseInvalidFieldInCDB)
		return
	}
	withDescriptor := cmd.CDB[1]&0x08 == 0
	if cmd.CDB[0] == opModeSense6 {
		descriptor := d.modeDescriptor(withDescriptor, false)
		total := 4 + len(descriptor) + len(pages)
		data := []byte{byte(total - 1), 0, deviceSpecific, byte(len(descriptor))}
		data = append(append(data, descriptor...), pages...)
		res.Reply(cmd, data, int64(cmd.CDB[4]))
		return
	}
	long := cmd.CDB[1]&0x10 != 0 // LLBAA
	descriptor := d.modeDescriptor(withDescriptor, long)
	data := make([]byte, 8)
	binary.BigEndian.PutUint16(data, uint16(6+len(descriptor)+len(pages)))
	data[3] = deviceSpecific
	if long && withDescriptor {
		data[4] = 1 // LONGLBA
	}
	data[7] = byte(len(descriptor))
	data = append(append(data, descriptor...), pages...)
	res.Reply(cmd, data, int64(binary.BigEndian.Uint16(cmd.CDB[7:])))
}

// appendPages appends the pages that a page and subpage code select, ok is false if there are
// none. Asked for what can be changed, all but SWP is zero.
func (m *modePages) appendPages(b []byte, page, subpage byte, changeable, swp bool) (_ []byte, ok bool) {
	if subpage != subpageNone && subpage != subpageEvery {
		return nil, false
	}
	for _, p := range m.pages {
		if page != pageAll && page != p[0] {
			continue
		}
		ok = true
		at := len(b)
		if changeable {
			b = append(append(b, p[:2]...), make([]byte, len(p)-2)...)
		} else {
			b = append(b, p...)
		}
		if p[0] == pageControl && (changeable || swp) {
			b[at+swpByte] |= bitSWP
		}
	}
	return b, ok
}

// modeDescriptor returns the one block descriptor (SBC-3 §6.4.2), short or long, or none.
func (d *Disk) modeDescriptor(wanted, long bool) []byte {
	if !wanted {
		return nil
	}
	if long {
		b := make([]byte, 16)
		binary.BigEndian.PutUint64(b, d.blocks)
		binary.BigEndian.PutUint32(b[12:], uint32(d.blockBytes))
		return b
	}
	b := make([]byte, 8)
	binary.BigEndian.PutUint32(b, uint32(min(d.blocks, math.MaxUint32)))
	binary.BigEndian.PutUint32(b[4:], uint32(d.blockBytes)) // its top byte is reserved and zero
	return b
}

// modeSelectLen is the data-out of MODE SELECT (6/10).
func modeSelectLen(d *Disk, cdb []byte) int64 {
	length := int64(cdb[4])
	if cdb[0] == opModeSelect10 {
		length = int64(binary.BigEndian.Uint16(cdb[7:]))
	}
	if length > maxModeSelectBytes {
		return 0
	}
	return length
}

// modeSelect is MODE SELECT (6/10). It accepts a parameter list that asks for what is so already,
// but for SWP, and refuses every other change.
func modeSelect(d *Disk, _ context.Context, cmd *Command, res *Response) {
	const pageFormat, savePages = 0x10, 0x01
	if cmd.CDB[1]&(pageFormat|savePages) != pageFormat {
		res.refuse(senseInvalidFieldInCDB)
		return
	}
	header, length := 4, int(cmd.CDB[4])
	if cmd.CDB[0] == opModeSelect10 {
		header, length = 8, int(binary.BigEndian.Uint16(cmd.CDB[7:]))
	}
	if length == 0 {
		return
	}
	if length > maxModeSelectBytes || length < header || len(cmd.DataOut) < length {
		res.refuse(senseListLength)
		return
	}
	protect := d.protect.Load()
	if sense := d.checkModeList(cmd.DataOut[:length], header, &protect); sense != 0 {
		res.refuse(sense)
		return
	}
	d.protect.Store(protect)
}

// checkModeList compares a mode parameter list with the current values, and notes what SWP shall be.
func (d *Disk) checkModeList(list []byte, header int, protect *bool) senseCode {
	descriptorBytes, long := int(list[3]), false
	if header == 8 {
		descriptorBytes, long = int(binary.BigEndian.Uint16(list[6:])), list[4]&1 != 0
	}
	pages := list[header:]
	if descriptorBytes > len(pages) {
		return senseListLength
	}
	if descriptorBytes > 0 && !d.sameDescriptor(pages[:descriptorBytes], long) {
		return senseInvalidFieldInList
	}
	for pages = pages[descriptorBytes:]; len(pages) > 0; {
		page := d.modes.find(pages[0] & 0x3f)
		switch {
		case page == nil || pages[0]&0x40 != 0: // SPF: a subpage
			return senseInvalidFieldInList
		case len(pages) < len(page):
			return senseListLength
		}
		asked := bytes.Clone(pages[:len(page)])
		if page[0] == pageControl {
			*protect = asked[swpByte]&bitSWP != 0
			asked[swpByte] &^= bitSWP
		}
		if !bytes.Equal(asked[1:], page[1:]) {
			return senseInvalidFieldInList
		}
		pages = pages[len(page):]
	}
	return 0
}

// sameDescriptor reports whether a block descriptor asks for the block size and capacity that are;
// a capacity of zero or all ones asks for no change.
func (d *Disk) sameDescriptor(b []byte, long bool) bool {
	current := d.modeDescriptor(true, long)
	if len(b) != len(current) {
		return false
	}
	count := len(b) / 2
	unchanged := bytes.Equal(b[:count], current[:count]) || allZero(b[:count]) ||
		bytes.Count(b[:count], []byte{0xff}) == count
	return unchanged && bytes.Equal(b[count:], current[count:])
}

func (m *modePages) find(code byte) []byte {
	for _, p := range m.pages {
		if p[0] == code {
			return p
		}
	}
	return nil
}

// WriteCacheEnabled reports whether the answer to MODE SENSE (10) with the caching page, no block
// descriptor, says that the unit has a volatile write cache.
func WriteCacheEnabled(data []byte) bool {
	if len(data) < 8 {
		return true // nothing is known: assume that data must be flushed
	}
	descriptors := int(binary.BigEndian.Uint16(data[6:]))
	if len(data) < 8+descriptors+3 {
		return true
	}
	page := data[8+descriptors:]
	return page[0]&0x3f != pageCaching || page[2]&0x04 != 0
}

// WriteProtected reports whether the answer to MODE SENSE (10) says that the unit is read-only.
func WriteProtected(data []byte) bool {
	return len(data) >= 4 && data[3]&modeWriteProtect != 0
}

// CachingPage is the mode page that WriteCacheEnabled looks at.
const CachingPage = pageCaching
