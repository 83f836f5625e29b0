package scsi

import (
	"context"
	"encoding/binary"
)

// The service actions of PERSISTENT RESERVE IN (SPC-4 §6.15.1).
const (
	saReadKeys           = 0x00
	saReadReservation    = 0x01
	saReportCapabilities = 0x02
	saReadFullStatus     = 0x03
)

// maxReserveIn is the most that PERSISTENT RESERVE IN answers: the full status of every registration.
const maxReserveIn = 8 + maxRegistrations*(24+maxTransportID)

func reserveInLen(_ *Disk, cdb []byte) int64 {
	return min(int64(binary.BigEndian.Uint16(cdb[7:])), int64(maxReserveIn))
}

// persistentReserveIn is PERSISTENT RESERVE IN.
func persistentReserveIn(d *Disk, _ context.Context, cmd *Command, res *Response) {
	s := d.reserver.state()
	var data []byte
	switch cmd.CDB[1] & 0x1f {
	case saReadKeys:
		data = s.keys()
	case saReadReservation:
		data = s.reservation()
	case saReportCapabilities:
		data = s.capabilities(d.reserver.store != nil)
	case saReadFullStatus:
		data = s.fullStatus()
	}
	res.Reply(cmd, data, int64(binary.BigEndian.Uint16(cmd.CDB[7:])))
}

// header returns PRGENERATION and room for the ADDITIONAL LENGTH, which withLength fills in.
func (s *reservations) header() []byte {
	return binary.BigEndian.AppendUint32(make([]byte, 0, 64), s.generation)[:8]
}

func withLength(b []byte) []byte {
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)-8))
	return b
}

func (s *reservations) keys() []byte {
	b := s.header()
	for _, r := range s.registered {
		b = binary.BigEndian.AppendUint64(b, r.key)
	}
	return withLength(b)
}

func (s *reservations) reservation() []byte {
	b := s.header()
	if s.kind == 0 {
		return withLength(b)
	}
	key := uint64(noKey) // all registrants hold it
	if !s.kind.allRegistrants() {
		key = s.registered[s.find(s.holder)].key
	}
	b = binary.BigEndian.AppendUint64(b, key)
	return withLength(append(b, 0, 0, 0, 0, 0, byte(s.kind), 0, 0))
}

// capabilities is the answer to REPORT CAPABILITIES (SPC-4 §6.15.4): SPEC_I_PT, ALL_TG_PT, and APTPL if there
// is a place to keep it; RESERVE (6) conflicts with registrations, so CRH is zero.
func (s *reservations) capabilities(persists bool) []byte {
	const sipC, atpC, ptplC, tmv, ptplA = 0x08, 0x04, 0x01, 0x80, 0x01
	const testUnitReadyAllowed = 1 << 4 // ALLOW COMMANDS 001b
	b := []byte{0, 8, sipC | atpC, tmv | testUnitReadyAllowed, 0xea, 0x01, 0, 0}
	if persists {
		b[2] |= ptplC
	}
	if s.persist {
		b[3] |= ptplA
	}
	return b
}

func (s *reservations) fullStatus() []byte {
	const allTgPt, rHolder = 0x02, 0x01
	b := s.header()
	for _, r := range s.registered {
		var d [24]byte
		binary.BigEndian.PutUint64(d[:], r.key)
		if r.allPorts {
			d[12] |= allTgPt
		}
		if s.holds(r.nexus) {
			d[12] |= rHolder
			d[13] = byte(s.kind)
		}
		binary.BigEndian.PutUint16(d[18:], thePort)
		id := appendTransportID(nil, r.nexus)
		binary.BigEndian.PutUint32(d[20:], uint32(len(id)))
		b = append(append(b, d[:]...), id...)
	}
	return withLength(b)
}
