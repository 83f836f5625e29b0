package volume

import "fmt"

// NameMax is the longest name of a volume, node, store or domain, in bytes.
const NameMax = 63

// CheckName returns why s cannot be the name of a volume, node, store or domain, nil if it can.
// what is the kind of object, for the message.
func CheckName(what, s string) error {
	if !validName(s) {
		return fmt.Errorf("%s name %q: want 1 to %d of a-z, 0-9, '-' and '.', a letter or digit at both ends",
			what, s, NameMax)
	}
	return nil
}

func validName(s string) bool {
	if s == "" || len(s) > NameMax {
		return false
	}
	for i, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case (c == '-' || c == '.') && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return true
}
