package inband

import (
	"encoding/binary"
	"fmt"

	"github.com/holdfast-storage/holdfast/volume"
)

// ReportBytes is the length of READ LABEL's answer.
const ReportBytes = headerBytes + reportFixedBytes + volume.LabelBytes

const (
	reportFixedBytes = 48
	reportLossy      = 1 // bit 0 of the flags byte
)

// AppendReport appends READ LABEL's answer. It fails only for a label that cannot be encoded.
func AppendReport(b []byte, r volume.LegReport) ([]byte, error) {
	b = appendHeader(b, reportFixedBytes+volume.LabelBytes)
	b = append(b, r.BootID[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Instance)
	b = binary.BigEndian.AppendUint64(b, r.MarksHash)
	var flags byte
	if r.Lossy {
		flags |= reportLossy
	}
	b = append(b, flags, 0, 0, 0, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, r.Changes)
	return volume.AppendLabel(b, r.Label)
}

// ParseReport reads READ LABEL's answer.
func ParseReport(b []byte) (volume.LegReport, error) {
	body, err := parseHeader(b)
	if err != nil {
		return volume.LegReport{}, err
	}
	if len(body) != reportFixedBytes+volume.LabelBytes {
		return volume.LegReport{}, fmt.Errorf("%w: a report of %d bytes", ErrLength, len(b))
	}
	flags := body[32]
	for i, b := range body[32:40] {
		if i == 0 {
			b &^= reportLossy
		}
		if b != 0 {
			return volume.LegReport{}, &FieldError{Byte: headerBytes + 32 + i, InParameter: true,
				Reason: "reserved"}
		}
	}
	label, err := volume.ParseLabel(body[reportFixedBytes:])
	if err != nil {
		return volume.LegReport{}, fmt.Errorf("in-band report: %w", err)
	}
	return volume.LegReport{
		Label:     label,
		BootID:    volume.UUID(body),
		Instance:  binary.BigEndian.Uint64(body[16:]),
		MarksHash: binary.BigEndian.Uint64(body[24:]),
		Lossy:     flags&reportLossy != 0,
		Changes:   binary.BigEndian.Uint64(body[40:]),
	}, nil
}
