package inband

import (
	"encoding/binary"
	"fmt"

	"github.com/holdfast-storage/holdfast/volume"
)

const configFixedBytes = headerBytes + 24

// ConfigMaxBytes is the longest parameter list of CONFIG.
const ConfigMaxBytes = configFixedBytes + 16*volume.MaxInSync

// AppendConfig appends CONFIG's parameter list: the configuration and the epoch of the host that
// brings it. The list must have at most volume.MaxInSync legs.
func AppendConfig(b []byte, e volume.Epoch, c volume.Config) ([]byte, error) {
	if len(c.InSync) > volume.MaxInSync {
		return b, fmt.Errorf("config %s: %d legs in sync, at most %d", c.CfgVer, len(c.InSync),
			volume.MaxInSync)
	}
	b = appendHeader(b, configFixedBytes-headerBytes+16*len(c.InSync))
	b = binary.BigEndian.AppendUint64(b, uint64(e))
	b = binary.BigEndian.AppendUint64(b, uint64(c.CfgVer))
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.InSync)))
	b = append(b, 0, 0, 0, 0, 0, 0)
	for _, leg := range c.InSync {
		b = append(b, leg.UUID[:]...)
	}
	return b, nil
}

// ParseConfig reads CONFIG's parameter list.
func ParseConfig(b []byte) (volume.Epoch, volume.Config, error) {
	body, err := parseHeader(b)
	if err != nil {
		return 0, volume.Config{}, err
	}
	if len(body) < configFixedBytes-headerBytes {
		return 0, volume.Config{}, fmt.Errorf("%w: a configuration of %d bytes", ErrLength, len(b))
	}
	count, list := int(binary.BigEndian.Uint16(body[16:])), body[24:]
	if count > volume.MaxInSync || len(list) != 16*count {
		return 0, volume.Config{}, fmt.Errorf("%w: %d legs in %d bytes", ErrLength, count, len(list))
	}
	for i := 18; i < 24; i++ {
		if body[i] != 0 {
			return 0, volume.Config{}, &FieldError{Byte: headerBytes + i, InParameter: true,
				Reason: "reserved"}
		}
	}
	c := volume.Config{CfgVer: volume.CfgVer(binary.BigEndian.Uint64(body[8:]))}
	for i := range count {
		c.InSync = append(c.InSync, volume.LegID{UUID: volume.UUID(list[16*i:])})
	}
	return volume.Epoch(binary.BigEndian.Uint64(body)), c, nil
}
