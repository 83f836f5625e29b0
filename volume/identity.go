package volume

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// The iSCSI names of legs and attachments (protocol-flush F, "Identity").
const (
	iqnPrefix       = "iqn.2026-11.io.holdfast:"
	legPrefix       = iqnPrefix + "leg."
	attachPrefix    = iqnPrefix + "att."
	volumePrefix    = iqnPrefix + "vol."
	chapUserPrefix  = "att."
	chapSecretLabel = "holdfast leg 1\x00"
)

// EpochTextKey is the text key that a refused login carries: the leg's own epoch in decimal. Only
// this key with an epoch above the host's own, or RESERVATION CONFLICT, means fenced.
const EpochTextKey = "X-io.holdfast.epoch"

// NodeKey is the secret that a storage node and the coordinators share, from which the CHAP
// secrets of its legs are derived. Never logged, never shown.
type NodeKey [32]byte

// TargetName is the iSCSI name under which a leg is reached with a grant of this epoch.
func TargetName(leg LegID, e Epoch) string {
	return fmt.Sprintf("%s%s.e%d", legPrefix, leg, uint64(e))
}

// ParseTargetName splits a leg's target name. It refuses every spelling but the one that
// TargetName makes, so that one leg and epoch have one name.
func ParseTargetName(name string) (LegID, Epoch, error) {
	rest, ok := strings.CutPrefix(name, legPrefix)
	if !ok || len(rest) < 36+3 || rest[36:38] != ".e" {
		return LegID{}, 0, fmt.Errorf("%q is no leg target name", name)
	}
	id, err := ParseUUID(rest[:36])
	if err != nil {
		return LegID{}, 0, fmt.Errorf("%q is no leg target name: %w", name, err)
	}
	epoch, err := strconv.ParseUint(rest[38:], 10, 64)
	leg := LegID{id}
	if err != nil || TargetName(leg, Epoch(epoch)) != name {
		return LegID{}, 0, fmt.Errorf("%q is no leg target name: bad epoch", name)
	}
	return leg, Epoch(epoch), nil
}

// InitiatorName is the iSCSI name of the engine of one attachment.
func InitiatorName(a AttachID) string { return attachPrefix + a.String() }

// ParseInitiatorName returns the attachment whose engine has this iSCSI name.
func ParseInitiatorName(name string) (AttachID, error) {
	rest, ok := strings.CutPrefix(name, attachPrefix)
	if !ok {
		return AttachID{}, fmt.Errorf("%q is no engine's initiator name", name)
	}
	id, err := ParseUUID(rest)
	if err != nil {
		return AttachID{}, fmt.Errorf("%q is no engine's initiator name: %w", name, err)
	}
	return AttachID{id}, nil
}

// ChapUser is the CHAP name of the engine of one attachment.
func ChapUser(a AttachID) string { return chapUserPrefix + a.String() }

// ChapSecret derives the CHAP secret of one attachment to one leg. Storage node and coordinators
// compute it alone; the host gets it with the answer to BeginAttach and keeps it in memory only.
func ChapSecret(key NodeKey, incarnation ClusterID, leg LegID, e Epoch, a AttachID) string {
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(chapSecretLabel))
	mac.Write(incarnation.UUID[:])
	mac.Write(leg.UUID[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(e)))
	mac.Write(a.UUID[:])
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
