package volume

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// digestPrefix names the hash of a Digest.
const digestPrefix = "sha256:"

// Digest names content by its SHA-256: "sha256:" and 64 hexadecimal digits in lower case.
type Digest string

// DigestOf returns the digest of a sum.
func DigestOf(sum [sha256.Size]byte) Digest { return Digest(digestPrefix + hex.EncodeToString(sum[:])) }

// Check returns what is wrong with the digest's form.
func (d Digest) Check() error {
	digits, prefixed := strings.CutPrefix(string(d), digestPrefix)
	sum, err := hex.DecodeString(digits)
	if !prefixed || err != nil || len(sum) != sha256.Size || strings.ToLower(digits) != digits {
		return fmt.Errorf("digest %q: want sha256: and %d digits of 0-9 and a-f", string(d), 2*sha256.Size)
	}
	return nil
}

// Hex returns the digits alone: a name for a file. It is empty for what is no digest.
func (d Digest) Hex() string {
	if d.Check() != nil {
		return ""
	}
	return strings.TrimPrefix(string(d), digestPrefix)
}

// Short returns enough of the digest for messages.
func (d Digest) Short() string { return string(d[:min(len(d), len(digestPrefix)+12)]) }
