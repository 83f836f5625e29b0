package scsi

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
)

// ErrReservationsDamaged says that what was kept of a unit's reservations cannot be read: taking it for none
// would let in whom they keep out.
var ErrReservationsDamaged = errors.New("the kept reservations cannot be read")

const reservationsFormat = "holdfast-reservations 1"

// keptReservations is what outlives a loss of power (docs/ondisk.md). Everything else about reservations
// starts anew.
type keptReservations struct {
	Serial        string             `json:"serial"` // of the unit that it belongs to
	Type          ReservationType    `json:"type,omitempty"`
	Registrations []keptRegistration `json:"registrations"`
}

type keptRegistration struct {
	Initiator string `json:"initiator"`
	ISID      string `json:"isid"`
	TPGT      uint16 `json:"tpgt"`
	Key       string `json:"key"`
	AllPorts  bool   `json:"all_ports,omitempty"`
	Holder    bool   `json:"holder,omitempty"`
}

// encodeReservations returns a line with the format and the CRC-32C of the rest, then JSON.
// It fails for what would not be read back as it is.
func encodeReservations(s *reservations, serial string) ([]byte, error) {
	k := keptReservations{Serial: serial, Type: s.kind}
	for _, r := range s.registered {
		k.Registrations = append(k.Registrations, keptRegistration{Initiator: r.nexus.InitiatorName,
			ISID: hex.EncodeToString(r.nexus.ISID[:]), TPGT: r.nexus.TPGT, Key: strconv.FormatUint(r.key, 16),
			AllPorts: r.allPorts, Holder: s.kind != 0 && s.holder == r.nexus})
	}
	body, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode reservations: %w", err)
	}
	data := fmt.Appendf(nil, "%s %08x\n%s\n", reservationsFormat, reservationsSum(body), body)
	back, err := decodeReservations(data, serial)
	if err != nil || !slices.Equal(back.registered, s.registered) || back.kind != s.kind || back.holder != s.holder {
		return nil, errors.Join(errors.New("encode reservations: they are not read back as they are"), err)
	}
	return data, nil
}

func reservationsSum(body []byte) uint32 {
	return crc32.Checksum(bytes.TrimSpace(body), crc32.MakeTable(crc32.Castagnoli))
}

// decodeReservations is the way back. What belongs to another unit is nothing to this one.
func decodeReservations(data []byte, serial string) (*reservations, error) {
	head, body, _ := bytes.Cut(data, []byte("\n"))
	if want := fmt.Sprintf("%s %08x", reservationsFormat, reservationsSum(body)); string(head) != want {
		return nil, fmt.Errorf("%w: they begin with %q, not with %q", ErrReservationsDamaged,
			head[:min(len(head), 64)], want)
	}
	var k keptReservations
	if err := json.Unmarshal(body, &k); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReservationsDamaged, err)
	}
	if k.Serial != serial {
		return &reservations{}, nil
	}
	s := &reservations{persist: true, kind: k.Type}
	for _, r := range k.Registrations {
		reg := registration{nexus: Nexus{InitiatorName: r.Initiator, TPGT: r.TPGT}, allPorts: r.AllPorts}
		isid, err := hex.DecodeString(r.ISID)
		if err != nil || copy(reg.nexus.ISID[:], isid) != len(reg.nexus.ISID) {
			return nil, fmt.Errorf("%w: ISID %q", ErrReservationsDamaged, r.ISID)
		}
		if reg.key, err = strconv.ParseUint(r.Key, 16, 64); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrReservationsDamaged, err)
		}
		s.registered = append(s.registered, reg)
		if r.Holder {
			s.holder = reg.nexus
		}
	}
	if broken := s.check(); broken != "" {
		return nil, fmt.Errorf("%w: %s", ErrReservationsDamaged, broken)
	}
	return s, nil
}
