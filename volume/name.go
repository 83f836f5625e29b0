package volume

import (
	"fmt"
	"regexp"
)

// NameMax is the longest name of a volume, node, store or domain, in bytes.
const NameMax = 63

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)

// CheckName returns why s cannot be the name of a volume, node, store or domain, nil if it can.
// what is the kind of object, for the message.
func CheckName(what, s string) error {
	if len(s) > NameMax || !namePattern.MatchString(s) {
		return fmt.Errorf("%s name %q: want 1 to %d of a-z, 0-9, '-' and '.', a letter or digit at both ends",
			what, s, NameMax)
	}
	return nil
}
