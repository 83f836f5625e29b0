package credential

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/holdfast-storage/holdfast/volume"
)

// What the two forms begin with.
const (
	joinPrefix   = "hfjoin1_"
	bearerPrefix = "hfapi1_"
)

// The lengths of the parts of a token, in bytes.
const (
	idLen     = 8
	secretLen = 32
	crcLen    = 4
)

// Secret is the id of a token and what only its bearer knows.
type Secret struct {
	id     [idLen]byte
	secret [secretLen]byte
}

// NewSecret makes a secret that nobody can guess.
func NewSecret() Secret {
	var s Secret
	_, _ = rand.Read(s.id[:]) // crypto/rand.Read never returns an error
	_, _ = rand.Read(s.secret[:])
	return s
}

// ID names the token; it is no secret.
func (s Secret) ID() string { return hex.EncodeToString(s.id[:]) }

// Hash is what the cluster keeps of the secret, in hexadecimal.
func (s Secret) Hash() string {
	sum := sha256.Sum256(append(s.id[:], s.secret[:]...))
	return hex.EncodeToString(sum[:])
}

// Proves reports whether the secret has this hash.
func (s Secret) Proves(hash string) bool {
	return subtle.ConstantTimeCompare([]byte(s.Hash()), []byte(hash)) == 1
}

// Format prints the id only, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "token %s", s.ID()) }

// Bearer returns the text of an API token.
func (s Secret) Bearer() string { return seal(bearerPrefix, s.bytes()) }

func (s Secret) bytes() []byte { return append(bytes.Clone(s.id[:]), s.secret[:]...) }

// ParseBearer reads the text of an API token. Errors do not quote it.
func ParseBearer(text string) (Secret, error) {
	raw, err := open(bearerPrefix, "API token", text)
	if err != nil {
		return Secret{}, err
	}
	s, rest := cutSecret(raw)
	if len(raw) < idLen+secretLen || len(rest) != 0 {
		return Secret{}, errors.New("API token: it has not the length of one")
	}
	return s, nil
}

// Join is everything that a machine needs to join a cluster, apart from where to ask: which cluster it
// is, the fingerprint of the cluster's CA, by which it knows that it talks to the right one before it
// says anything, and the secret.
type Join struct {
	Cluster volume.ClusterID
	Name    string   // of the cluster
	CA      [32]byte // SHA-256 of the CA's certificate
	Secret  Secret
}

// Text returns the text of a join token.
func (j Join) Text() string {
	raw := append(bytes.Clone(j.Cluster.UUID[:]), j.CA[:]...)
	raw = append(raw, j.Secret.bytes()...)
	return seal(joinPrefix, append(raw, j.Name...))
}

// ParseJoin reads the text of a join token. Errors do not quote it.
func ParseJoin(text string) (Join, error) {
	raw, err := open(joinPrefix, "join token", text)
	if err != nil {
		return Join{}, err
	}
	var j Join
	const fixed = len(j.Cluster.UUID) + len(j.CA) + idLen + secretLen
	if len(raw) < fixed || len(raw) > fixed+volume.NameMax {
		return Join{}, errors.New("join token: it has not the length of one")
	}
	n := copy(j.Cluster.UUID[:], raw)
	n += copy(j.CA[:], raw[n:])
	var name []byte
	j.Secret, name = cutSecret(raw[n:])
	j.Name = string(name)
	return j, nil
}

func cutSecret(raw []byte) (s Secret, rest []byte) {
	raw = raw[copy(s.id[:], raw):]
	return s, raw[copy(s.secret[:], raw):]
}

// seal makes the text of raw bytes.
func seal(prefix string, raw []byte) string {
	raw = binary.BigEndian.AppendUint32(raw, crc32.ChecksumIEEE(append([]byte(prefix), raw...)))
	return prefix + base64.RawURLEncoding.EncodeToString(raw)
}

// open returns the bytes of a text that seal made; kind names it in errors.
func open(prefix, kind, text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), prefix)
	if !ok {
		return nil, fmt.Errorf("%s: it does not begin with %s", kind, prefix)
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(raw) < crcLen {
		return nil, fmt.Errorf("%s: it is not whole: copy all of it", kind)
	}
	body := raw[:len(raw)-crcLen]
	if crc32.ChecksumIEEE(append([]byte(prefix), body...)) != binary.BigEndian.Uint32(raw[len(body):]) {
		return nil, fmt.Errorf("%s: its checksum does not fit: copy all of it", kind)
	}
	return body, nil
}
