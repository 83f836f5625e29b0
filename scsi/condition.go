package scsi

import "sync/atomic"

// condition is what keeps a unit from its medium. Almost always it is zero, which costs a command
// one load.
type condition struct {
	bits     atomic.Uint32
	progress atomic.Uint32 // of a sanitize operation, in 65536ths
}

const (
	conditionSanitizing = 1 << iota // a sanitize operation is under way
	conditionSanitizeFailed
	conditionNoMedium // ejected
)

// refuses returns the sense with which an operation is refused now, or zero. The gravest counts.
func (c *condition) refuses(op *operation) senseCode {
	bits := c.bits.Load()
	switch {
	case bits == 0 || worksAlways(op.opcode()):
		return 0
	case bits&conditionSanitizing != 0:
		return senseSanitizing
	case bits&conditionSanitizeFailed != 0:
		if op.opcode() == opSanitize {
			return 0
		}
		return senseSanitizeFailed
	case worksWithoutMedium(op.opcode()):
		return 0
	}
	return senseNoMedium
}

func (c *condition) set(bit uint32)   { c.bits.Or(bit) }
func (c *condition) clear(bit uint32) { c.bits.And(^bit) }

// worksAlways reports whether a command asks about the unit and not about its medium (SBC-3 §4.11.3).
func worksAlways(opcode byte) bool {
	switch opcode {
	case opRequestSense, opInquiry, opReportLUNs, opMaintenanceIn:
		return true
	}
	return false
}

// worksWithoutMedium reports whether a command makes sense while the medium is ejected.
func worksWithoutMedium(opcode byte) bool {
	switch opcode {
	case opModeSelect6, opModeSense6, opModeSelect10, opModeSense10,
		opStartStopUnit, opPreventAllow, opReceiveCopyResults,
		opReserve6, opRelease6, opPersistentReserveIn, opPersistentReserveOut:
		return true
	}
	return false
}

// pending is the sense that REQUEST SENSE reports of the condition, if there is one.
func (c *condition) pending() (Sense, bool) {
	bits := c.bits.Load()
	switch {
	case bits&conditionSanitizing != 0:
		return senseSanitizing.sense().withProgress(uint16(c.progress.Load())), true
	case bits&conditionSanitizeFailed != 0:
		return senseSanitizeFailed.sense(), true
	case bits&conditionNoMedium != 0:
		return senseNoMedium.sense(), true
	}
	return Sense{}, false
}
