package volume

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// UUID is a random (version 4) universally unique identifier. The zero UUID means "none".
type UUID [16]byte

// NewUUID returns a fresh random UUID. It cannot fail: crypto/rand does not.
func NewUUID() UUID {
	var u UUID
	_, _ = rand.Read(u[:]) // crypto/rand.Read never returns an error
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}

// ParseUUID reads the text form 8-4-4-4-12 in lower-case hexadecimal.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return u, fmt.Errorf("%q is no UUID (want 8-4-4-4-12 hexadecimal digits)", s)
	}
	digits := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
	if _, err := hex.Decode(u[:], []byte(digits)); err != nil {
		return UUID{}, fmt.Errorf("%q is no UUID (want 8-4-4-4-12 hexadecimal digits)", s)
	}
	return u, nil
}

// IsZero reports whether the UUID is the zero one, "none".
func (u UUID) IsZero() bool { return u == UUID{} }

// String returns the text form 8-4-4-4-12.
func (u UUID) String() string {
	text := u.text()
	return string(text[:])
}

// text is String without an allocation: assignments and certificates are full of ids.
func (u UUID) text() (b [36]byte) {
	hex.Encode(b[0:8], u[0:4])
	hex.Encode(b[9:13], u[4:6])
	hex.Encode(b[14:18], u[6:8])
	hex.Encode(b[19:23], u[8:10])
	hex.Encode(b[24:36], u[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return b
}

// Short returns the first eight digits, enough for a person to tell things apart in a list.
func (u UUID) Short() string { return hex.EncodeToString(u[:4]) }

// MarshalText returns the text form; the zero UUID is the empty text.
func (u UUID) MarshalText() ([]byte, error) {
	if u.IsZero() {
		return nil, nil
	}
	text := u.text()
	return text[:], nil
}

// UnmarshalText reads the text form; the empty text is the zero UUID.
func (u *UUID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*u = UUID{}
		return nil
	}
	parsed, err := ParseUUID(string(text))
	if err != nil {
		return err
	}
	*u = parsed
	return nil
}
