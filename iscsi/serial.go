package iscsi

// Serial is a 32-bit serial number that wraps: CmdSN, StatSN, DataSN, R2TSN (RFC 7143 §4.2.2.1).
// It must be compared with these methods only (RFC 1982): two numbers exactly 2^31 apart are in
// no order, and every comparison between them is false.
type Serial uint32

// Less reports whether s comes before o.
func (s Serial) Less(o Serial) bool { return s != o && o-s < 1<<31 }

// LessEqual reports whether s comes before o or equals it.
func (s Serial) LessEqual(o Serial) bool { return o-s < 1<<31 }

// Next returns the serial number after s.
func (s Serial) Next() Serial { return s + 1 }

// Within reports whether s lies in [first, last], both included.
func (s Serial) Within(first, last Serial) bool {
	return first.LessEqual(s) && s.LessEqual(last)
}
