package scsi

// accessClass says what a command does to a unit, as far as reservations of others are concerned.
type accessClass byte

const (
	accessUnknown accessClass = iota // no operation has it
	accessInform                     // asks about the unit, which everybody may
	accessProbe                      // asks whether and by whom the unit may be used
	accessRead                       // reads the medium, or parameters that could tell of it
	accessWrite                      // changes medium or parameters, or makes what was written durable
	accessReserve                    // takes or gives up a reservation: judged by that command's own rules
	accessClasses
)

// restriction says what a reservation means to a nexus.
type restriction byte

const (
	unrestricted    restriction = iota // there is none, or the nexus has part in it
	keptFromWriting                    // a persistent reservation of a write exclusive type
	keptFromAccess                     // a persistent reservation of an exclusive access type
	keptFromAll                        // RESERVE (6) of another nexus
	restrictionKinds
)

// mayAccess is the decision of SPC-4 table 66 and SBC-3 table 12, and for RESERVE of SPC-2 table 9:
// whether a command of a class runs for a nexus. It is the only place that says so.
func mayAccess(c accessClass, r restriction) bool {
	allowed := [accessClasses][restrictionKinds]bool{
		//               unrestricted, writing, access, all
		accessUnknown: {false, false, false, false},
		accessInform:  {true, true, true, true},
		accessProbe:   {true, true, true, false},
		accessRead:    {true, true, false, false},
		accessWrite:   {true, false, false, false},
		accessReserve: {true, true, true, true},
	}
	return allowed[c][r]
}

// accessOf returns the class of a command. Two commands of the table do with a bit set what they do not
// do without it.
func accessOf(op *operation, cdb []byte) accessClass {
	const start, powerCondition, prevent = 0x01, 0xf0, 0x03
	switch {
	case op.opcode() == opStartStopUnit && cdb[4]&(powerCondition|start) == start,
		op.opcode() == opPreventAllow && cdb[4]&prevent == 0:
		return accessProbe // starts the unit, or allows what was prevented: nobody loses anything
	}
	return op.access
}
