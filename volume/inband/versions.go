package inband

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/holdfast-storage/holdfast/volume"
)

// VersionsMaxBytes is the longest page of VERSIONS' answer, and of STAMP's parameter list; it holds
// MaxRuns runs.
const VersionsMaxBytes = headerBytes + versionsFixedBytes + versionRunBytes*MaxRuns

const (
	versionsFixedBytes = 16
	versionRunBytes    = 16
)

// VersionsPage is one page of VERSIONS' answer, or STAMP's parameter list.
//
// Invariant: runs ascend, do not overlap, lie below Next, and have a version.
type VersionsPage struct {
	Next    uint32 // ask again from this region on; Regions when this page is the last
	Regions uint32 // regions of the whole leg
	Runs    []volume.VersionRun
}

// AppendVersions appends one page. It refuses one that ParseVersions would refuse.
func AppendVersions(b []byte, p VersionsPage) ([]byte, error) {
	if err := p.check(); err != nil {
		return b, err
	}
	b = appendHeader(b, versionsFixedBytes+versionRunBytes*len(p.Runs))
	b = binary.BigEndian.AppendUint32(b, p.Next)
	b = binary.BigEndian.AppendUint32(b, p.Regions)
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Runs)))
	b = append(b, 0, 0, 0, 0)
	for _, r := range p.Runs {
		b = binary.BigEndian.AppendUint32(b, r.First)
		b = binary.BigEndian.AppendUint32(b, r.Count)
		b = binary.BigEndian.AppendUint64(b, uint64(r.Version))
	}
	return b, nil
}

// ParseVersions reads one page.
func ParseVersions(b []byte) (VersionsPage, error) {
	body, err := parseHeader(b)
	if err != nil {
		return VersionsPage{}, err
	}
	if len(body) < versionsFixedBytes {
		return VersionsPage{}, fmt.Errorf("%w: versions of %d bytes", ErrLength, len(b))
	}
	p := VersionsPage{Next: binary.BigEndian.Uint32(body), Regions: binary.BigEndian.Uint32(body[4:])}
	count, list := uint64(binary.BigEndian.Uint32(body[8:])), body[versionsFixedBytes:]
	if count > MaxRuns || uint64(len(list)) != versionRunBytes*count {
		return VersionsPage{}, fmt.Errorf("%w: %d runs in %d bytes", ErrLength, count, len(list))
	}
	if binary.BigEndian.Uint32(body[12:]) != 0 {
		return VersionsPage{}, &FieldError{Byte: headerBytes + 12, InParameter: true, Reason: "reserved"}
	}
	for ; len(list) > 0; list = list[versionRunBytes:] {
		p.Runs = append(p.Runs, volume.VersionRun{
			First: binary.BigEndian.Uint32(list), Count: binary.BigEndian.Uint32(list[4:]),
			Version: volume.CfgVer(binary.BigEndian.Uint64(list[8:])),
		})
	}
	return p, p.check()
}

// check holds the page's invariant, for both directions.
func (p VersionsPage) check() error {
	if len(p.Runs) > MaxRuns || p.Next > p.Regions {
		return fmt.Errorf("%w: %d runs up to region %d of %d", ErrLength, len(p.Runs), p.Next, p.Regions)
	}
	end := uint64(0)
	for _, r := range p.Runs {
		if r.Count == 0 || uint64(r.First) < end || r.Version == 0 {
			return fmt.Errorf("%w: run [%d,+%d) is out of order or says nothing", ErrLength, r.First, r.Count)
		}
		end = uint64(r.First) + uint64(r.Count)
	}
	if end > uint64(p.Next) || end > math.MaxUint32 {
		return fmt.Errorf("%w: runs end at region %d, behind the page's end %d", ErrLength, end, p.Next)
	}
	return nil
}
