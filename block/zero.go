package block

import "bytes"

// IsZero reports whether all bytes are zero, of which there must be one.
func IsZero(p []byte) bool { return len(p) > 0 && p[0] == 0 && bytes.Equal(p[1:], p[:len(p)-1]) }
