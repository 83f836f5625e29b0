package inband

import (
	"encoding/binary"
	"fmt"
	"math"
)

// MarksMaxBytes is the longest page of MARKS' answer; MaxRuns is how many runs it holds.
const (
	MarksMaxBytes = headerBytes + marksFixedBytes + runBytes*MaxRuns
	MaxRuns       = 4096
)

const (
	marksFixedBytes = 16
	runBytes        = 12
	runMarked       = 1 << 0
	runNewer        = 1 << 1
)

// Run is a run of regions that are all marked, all newer than asked, or both.
type Run struct {
	First, Count uint32 // regions of volume.RegionBytes; Count is at least 1
	Marked       bool   // a write in the current or an earlier window may have touched them
	Newer        bool   // their version is newer than Marks.Since
}

// MarksPage is one page of MARKS' answer.
//
// Invariant: runs ascend, do not overlap, and lie below Next.
type MarksPage struct {
	Next    uint32 // ask again from this region on; Regions when this page is the last
	Regions uint32 // regions of the whole leg
	Runs    []Run  // at most MaxRuns; regions in none of them are neither marked nor newer
}

// AppendMarks appends one page. It refuses one that ParseMarks would refuse.
func AppendMarks(b []byte, p MarksPage) ([]byte, error) {
	if err := p.check(); err != nil {
		return b, err
	}
	b = appendHeader(b, marksFixedBytes+runBytes*len(p.Runs))
	b = binary.BigEndian.AppendUint32(b, p.Next)
	b = binary.BigEndian.AppendUint32(b, p.Regions)
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Runs)))
	b = append(b, 0, 0, 0, 0)
	for _, r := range p.Runs {
		b = binary.BigEndian.AppendUint32(b, r.First)
		b = binary.BigEndian.AppendUint32(b, r.Count)
		var flags uint32
		if r.Marked {
			flags |= runMarked
		}
		if r.Newer {
			flags |= runNewer
		}
		b = binary.BigEndian.AppendUint32(b, flags)
	}
	return b, nil
}

// ParseMarks reads one page.
func ParseMarks(b []byte) (MarksPage, error) {
	body, err := parseHeader(b)
	if err != nil {
		return MarksPage{}, err
	}
	if len(body) < marksFixedBytes {
		return MarksPage{}, fmt.Errorf("%w: marks of %d bytes", ErrLength, len(b))
	}
	p := MarksPage{Next: binary.BigEndian.Uint32(body), Regions: binary.BigEndian.Uint32(body[4:])}
	count, list := uint64(binary.BigEndian.Uint32(body[8:])), body[marksFixedBytes:]
	if count > MaxRuns || uint64(len(list)) != runBytes*count {
		return MarksPage{}, fmt.Errorf("%w: %d runs in %d bytes", ErrLength, count, len(list))
	}
	if binary.BigEndian.Uint32(body[12:]) != 0 {
		return MarksPage{}, &FieldError{Byte: headerBytes + 12, InParameter: true, Reason: "reserved"}
	}
	for ; len(list) > 0; list = list[runBytes:] {
		flags := binary.BigEndian.Uint32(list[8:])
		if flags&^(runMarked|runNewer) != 0 {
			return MarksPage{}, &FieldError{Byte: len(b) - len(list) + 8, InParameter: true,
				Reason: "unknown flags"}
		}
		p.Runs = append(p.Runs, Run{
			First: binary.BigEndian.Uint32(list), Count: binary.BigEndian.Uint32(list[4:]),
			Marked: flags&runMarked != 0, Newer: flags&runNewer != 0,
		})
	}
	return p, p.check()
}

// check holds the page's invariant, for both directions.
func (p MarksPage) check() error {
	if len(p.Runs) > MaxRuns || p.Next > p.Regions {
		return fmt.Errorf("%w: %d runs up to region %d of %d", ErrLength, len(p.Runs), p.Next, p.Regions)
	}
	end := uint64(0)
	for _, r := range p.Runs {
		if r.Count == 0 || uint64(r.First) < end || !r.Marked && !r.Newer {
			return fmt.Errorf("%w: run [%d,+%d) is out of order or says nothing", ErrLength, r.First, r.Count)
		}
		end = uint64(r.First) + uint64(r.Count)
	}
	if end > uint64(p.Next) || end > math.MaxUint32 {
		return fmt.Errorf("%w: runs end at region %d, behind the page's end %d", ErrLength, end, p.Next)
	}
	return nil
}
