package iscsi

import "math"

// The names of the text keys of RFC 7143 §12 and §13.
const (
	KeyAuthMethod               = "AuthMethod"
	KeyDataDigest               = "DataDigest"
	KeyDataPDUInOrder           = "DataPDUInOrder"
	KeyDataSequenceInOrder      = "DataSequenceInOrder"
	KeyDefaultTime2Retain       = "DefaultTime2Retain"
	KeyDefaultTime2Wait         = "DefaultTime2Wait"
	KeyErrorRecoveryLevel       = "ErrorRecoveryLevel"
	KeyFirstBurstLength         = "FirstBurstLength"
	KeyHeaderDigest             = "HeaderDigest"
	KeyImmediateData            = "ImmediateData"
	KeyInitialR2T               = "InitialR2T"
	KeyInitiatorAlias           = "InitiatorAlias"
	KeyInitiatorName            = "InitiatorName"
	KeyMaxBurstLength           = "MaxBurstLength"
	KeyMaxConnections           = "MaxConnections"
	KeyMaxOutstandingR2T        = "MaxOutstandingR2T"
	KeyMaxRecvDataSegmentLength = "MaxRecvDataSegmentLength"
	KeySendTargets              = "SendTargets"
	KeySessionType              = "SessionType"
	KeyTargetAddress            = "TargetAddress"
	KeyTargetAlias              = "TargetAlias"
	KeyTargetName               = "TargetName"
	KeyTargetPortalGroupTag     = "TargetPortalGroupTag"
	KeyTaskReporting            = "TaskReporting"
	KeyProtocolLevel            = "iSCSIProtocolLevel"
)

// Values of keys.
const (
	Yes              = "Yes"
	No               = "No"
	DigestNone       = "None"
	DigestCRC32C     = "CRC32C"
	AuthNone         = "None"
	AuthCHAP         = "CHAP"
	SessionNormal    = "Normal"
	SessionDiscovery = "Discovery"
)

// kind is how the value of a key is settled (RFC 7143 §6.2).
type kind byte

const (
	declarative kind = iota // each side says its own; no answer
	declaredNumber
	list       // the responder's first choice among the offered values
	numberMin  // the smaller of both
	numberMax  // the larger of both
	booleanAnd // Yes if both say Yes
	booleanOr  // Yes if one says Yes
)

// side is who may send a key first.
type side byte

const (
	byBoth side = iota
	byInitiator
	byTarget
)

// keySpec is a row of the table of keys.
type keySpec struct {
	name       string
	kind       kind
	sender     side
	normalOnly bool // irrelevant in a discovery session
	min, max   uint32
	initial    string // the value when nobody negotiates it, empty for none
}

const max24 = 1<<24 - 1

// keyTable returns every operational key (RFC 7143 §13). AuthMethod and the CHAP keys belong to the
// security stage and are not in it.
func keyTable() []keySpec {
	return []keySpec{
		{KeyHeaderDigest, list, byBoth, false, 0, 0, DigestNone},
		{KeyDataDigest, list, byBoth, false, 0, 0, DigestNone},
		{KeyMaxConnections, numberMin, byBoth, true, 1, 65535, "1"},
		{KeyInitialR2T, booleanOr, byBoth, true, 0, 0, Yes},
		{KeyImmediateData, booleanAnd, byBoth, true, 0, 0, Yes},
		{KeyMaxRecvDataSegmentLength, declaredNumber, byBoth, false, 512, max24, "8192"},
		{KeyMaxBurstLength, numberMin, byBoth, true, 512, max24, "262144"},
		{KeyFirstBurstLength, numberMin, byBoth, true, 512, max24, "65536"},
		{KeyDefaultTime2Wait, numberMax, byBoth, false, 0, 3600, "2"},
		{KeyDefaultTime2Retain, numberMin, byBoth, false, 0, 3600, "20"},
		{KeyMaxOutstandingR2T, numberMin, byBoth, true, 1, 65535, "1"},
		{KeyDataPDUInOrder, booleanOr, byBoth, true, 0, 0, Yes},
		{KeyDataSequenceInOrder, booleanOr, byBoth, true, 0, 0, Yes},
		{KeyErrorRecoveryLevel, numberMin, byBoth, false, 0, 2, "0"},
		{KeyProtocolLevel, numberMin, byBoth, false, 0, 31, "1"},
		{KeyTaskReporting, list, byBoth, true, 0, 0, "RFC3720"},
		// Markers are obsolete (RFC 7143 §13.25): No is a valid answer for those who still ask.
		{"IFMarker", booleanAnd, byBoth, false, 0, 0, No},
		{"OFMarker", booleanAnd, byBoth, false, 0, 0, No},
		{KeySessionType, declarative, byInitiator, false, 0, 0, SessionNormal},
		{KeyInitiatorName, declarative, byInitiator, false, 0, 0, ""},
		{KeyInitiatorAlias, declarative, byInitiator, false, 0, 0, ""},
		{KeyTargetName, declarative, byBoth, false, 0, 0, ""},
		{KeyTargetAlias, declarative, byTarget, false, 0, 0, ""},
		{KeyTargetAddress, declarative, byTarget, false, 0, 0, ""},
		{KeyTargetPortalGroupTag, declaredNumber, byTarget, false, 0, math.MaxUint16, ""},
	}
}

// specOf returns the row of a key, nil for a key that is not in the table.
func specOf(name string) *keySpec {
	table := keyTable()
	for i := range table {
		if table[i].name == name {
			return &table[i]
		}
	}
	return nil
}
