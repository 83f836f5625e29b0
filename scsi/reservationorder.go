package scsi

import "encoding/binary"

// The service actions of PERSISTENT RESERVE OUT (SPC-4 §6.16.2).
const (
	saRegister          = 0x00
	saReserve           = 0x01
	saRelease           = 0x02
	saClear             = 0x03
	saPreempt           = 0x04
	saPreemptAndAbort   = 0x05
	saRegisterAndIgnore = 0x06
	saRegisterAndMove   = 0x07
)

const (
	reserveListBytes = 24 // of the parameter list without TransportIDs
	// maxReserveList bounds the whole parameter list: a TransportID for every registration, and one more.
	maxReserveList = reserveListBytes + 4 + (maxRegistrations+1)*maxTransportID
	// thePort is the relative target port identifier of the only target port of a unit.
	thePort = 1
)

// reserveOrder is what a PERSISTENT RESERVE OUT command asks for.
type reserveOrder struct {
	action byte
	scope  byte // 0: the whole unit, the only one there is
	kind   ReservationType
	key    uint64 // RESERVATION KEY: what the sender has registered
	newKey uint64 // SERVICE ACTION RESERVATION KEY

	persist    bool     // APTPL
	allPorts   bool     // ALL_TG_PT
	others     []Nexus  // SPEC_I_PT: nexuses to register as well; nil = none asked for
	withOthers bool     // SPEC_I_PT
	target     moveGoal // of REGISTER AND MOVE
}

// registers reports whether the order is one of those that set APTPL; all others ignore it (SPC-4 §6.16.3).
func (o *reserveOrder) registers() bool {
	switch o.action {
	case saRegister, saRegisterAndIgnore, saRegisterAndMove:
		return true
	}
	return false
}

// moveGoal is where REGISTER AND MOVE takes a reservation.
type moveGoal struct {
	nexus      Nexus
	port       uint16
	unregister bool // the sender's registration ends
}

// parseReserveOrder decodes CDB and parameter list. tpgt is the target port's, which TransportIDs do not
// name.
func parseReserveOrder(cdb, list []byte, tpgt uint16) (reserveOrder, senseCode) {
	o := reserveOrder{action: cdb[1] & 0x1f, scope: cdb[2] >> 4, kind: ReservationType(cdb[2] & 0xf)}
	length := int64(binary.BigEndian.Uint32(cdb[5:]))
	if length < reserveListBytes || int64(len(list)) < length {
		return o, senseListLength
	}
	list = list[:length]
	o.key, o.newKey = binary.BigEndian.Uint64(list), binary.BigEndian.Uint64(list[8:])
	if o.action == saRegisterAndMove {
		return o, o.parseMove(list, tpgt)
	}
	const specIPT, allTgPt, aptpl = 0x08, 0x04, 0x01
	o.withOthers, o.allPorts, o.persist = list[20]&specIPT != 0, list[20]&allTgPt != 0, list[20]&aptpl != 0
	if !o.withOthers {
		if length != reserveListBytes {
			return o, senseListLength
		}
		return o, 0
	}
	if o.action != saRegister {
		return o, senseInvalidFieldInList
	}
	return o, o.parseOthers(list[reserveListBytes:], tpgt)
}

// parseOthers decodes the TransportIDs behind SPEC_I_PT.
func (o *reserveOrder) parseOthers(b []byte, tpgt uint16) senseCode {
	if len(b) < 4 {
		return senseListLength
	}
	if int64(binary.BigEndian.Uint32(b)) != int64(len(b)-4) {
		return senseInvalidFieldInList
	}
	for b = b[4:]; len(b) > 0; {
		n, size, ok := parseTransportID(b)
		switch {
		case !ok:
			return senseInvalidFieldInList
		case len(o.others) == maxRegistrations:
			return senseRegistrationResources
		}
		n.TPGT = tpgt
		o.others = append(o.others, n)
		b = b[size:]
	}
	return 0
}

// parseMove decodes the parameter list of REGISTER AND MOVE (SPC-4 §6.16.4).
func (o *reserveOrder) parseMove(list []byte, tpgt uint16) senseCode {
	const unreg, aptpl = 0x02, 0x01
	o.persist, o.target.unregister = list[17]&aptpl != 0, list[17]&unreg != 0
	o.target.port = binary.BigEndian.Uint16(list[18:])
	id := list[reserveListBytes:]
	if int64(binary.BigEndian.Uint32(list[20:])) != int64(len(id)) {
		return senseListLength
	}
	n, size, ok := parseTransportID(id)
	if !ok || size != len(id) {
		return senseInvalidFieldInList
	}
	n.TPGT = tpgt
	o.target.nexus = n
	return 0
}
