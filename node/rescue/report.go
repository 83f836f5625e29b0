package rescue

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/volume"
)

// reportFormat is the version of the report, and the only one that an export resumes from.
const reportFormat = 1

// Span is a run of bytes of the volume.
type Span struct {
	Off int64        `json:"off"`
	Len int64        `json:"len"`
	Leg volume.LegID `json:"leg"` // whose bytes were taken; zero if none's were
}

// Report is FILE.report: the evidence for what is in FILE, and how far the export is.
type Report struct {
	Format     int            `json:"format"`
	Volume     volume.ID      `json:"volume"`
	VolumeName string         `json:"volume_name"`
	SizeBytes  int64          `json:"size_bytes"`
	CfgVer     volume.CfgVer  `json:"cfgver"`
	InSync     []volume.LegID `json:"in_sync"`
	// Explicit: the operator named the legs, against what stands in Overruled.
	Explicit  bool      `json:"explicit_leg"`
	Overruled []string  `json:"overruled"`
	Legs      []Verdict `json:"legs"`
	// First is the leg that counts where legs of a mirror differ; of parity it is just the first.
	First volume.LegID `json:"first_leg"`
	// Recovery is what became of the writes of parity that were under way; nil for a mirror.
	Recovery *Recovery `json:"recovery,omitempty"`

	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`     // of the last try
	NextByte int64     `json:"next_byte"` // all before it is on stable storage
	Done     bool      `json:"done"`      // FILE is there

	// Decoded: the leg that has these blocks of parity is not there or could not read them; they were made from others.
	Decoded []Decoding `json:"decoded"`
	// FromOther: the first leg could not read these blocks, another one gave them.
	FromOther []Span `json:"from_other_leg"`
	// Differing: marked blocks of which the legs have different content: an unfinished write. The first
	// leg's is used throughout.
	Differing []Span `json:"differing"`
	// Adopted: marked blocks that no leg has whole: old, new, or a mix of the two.
	Adopted []Span `json:"adopted"`
	// Diverged: blocks without a mark of which the legs have different content, each with a right
	// checksum; of parity, blocks whose row does not fit together. That must not be; the first leg's is used, and of
	// parity what the leg of the block has, or what was decoded.
	Diverged []Span `json:"diverged"`
	// Unreadable: blocks that no leg can give; they are zeroes in FILE.
	Unreadable []Span `json:"unreadable"`
}

func newReport(c Choice, now time.Time) *Report {
	first := c.Use[0]
	r := &Report{
		Format: reportFormat, Volume: first.Volume, VolumeName: first.VolumeName, SizeBytes: first.SizeBytes,
		CfgVer: first.CfgVer, InSync: first.InSync, Explicit: c.Explicit, Overruled: c.Overruled, Legs: c.Verdicts,
		First: first.Leg, Started: now,
	}
	for _, list := range []*[]Span{&r.FromOther, &r.Differing, &r.Adopted, &r.Diverged, &r.Unreadable} {
		*list = []Span{}
	}
	r.Decoded = []Decoding{}
	if r.Overruled == nil {
		r.Overruled = []string{}
	}
	return r
}

// note adds a block to a list, or makes its last span longer.
func note(list *[]Span, off int64, leg volume.LegID) {
	if n := len(*list); n > 0 {
		if last := &(*list)[n-1]; last.Off+last.Len == off && last.Leg == leg {
			last.Len += volume.BlockBytes
			return
		}
	}
	*list = append(*list, Span{Off: off, Len: volume.BlockBytes, Leg: leg})
}

// Decoding is a run of bytes of the volume that was made from the same rows of other legs.
type Decoding struct {
	Off  int64          `json:"off"`
	Len  int64          `json:"len"`
	Leg  volume.LegID   `json:"leg"`  // which has the bytes, but could not give them; zero if it is not there
	From []volume.LegID `json:"from"` // k others
}

// noteDecoded adds a block that was decoded, or makes the last run longer.
func (r *Report) noteDecoded(off int64, leg volume.LegID, from []volume.LegID) {
	if n := len(r.Decoded); n > 0 {
		if last := &r.Decoded[n-1]; last.Off+last.Len == off && last.Leg == leg && slices.Equal(last.From, from) {
			last.Len += volume.BlockBytes
			return
		}
	}
	r.Decoded = append(r.Decoded, Decoding{Off: off, Len: volume.BlockBytes, Leg: leg, From: from})
}

// forgetFrom drops what is noted of bytes from off on: they will be read again.
func (r *Report) forgetFrom(off int64) {
	for _, list := range []*[]Span{&r.FromOther, &r.Differing, &r.Adopted, &r.Diverged, &r.Unreadable} {
		*list = slices.DeleteFunc(*list, func(s Span) bool { return s.Off >= off })
		for i := range *list {
			s := &(*list)[i]
			s.Len = min(s.Len, off-s.Off)
		}
	}
	r.Decoded = slices.DeleteFunc(r.Decoded, func(d Decoding) bool { return d.Off >= off })
	for i := range r.Decoded {
		d := &r.Decoded[i]
		d.Len = min(d.Len, off-d.Off)
	}
}

// DecodedBytes sums up what was decoded.
func (r *Report) DecodedBytes() int64 {
	sum := int64(0)
	for _, d := range r.Decoded {
		sum += d.Len
	}
	return sum
}

// Bytes sums up a list of spans.
func Bytes(list []Span) int64 {
	sum := int64(0)
	for _, s := range list {
		sum += s.Len
	}
	return sum
}

// save replaces the report on the disk.
func (r *Report) save(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(text, '\n'), 0o600)
}

// loadReport reads the report of an export that was interrupted.
func loadReport(path string) (*Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s is no report of an export: %w", path, err)
	}
	if r.Format != reportFormat {
		return nil, fmt.Errorf("%s has format %d, this program knows %d", path, r.Format, reportFormat)
	}
	return r, nil
}

// errOtherEvidence means that an interrupted export was of other legs, or that they changed since.
var errOtherEvidence = errors.New("the export that was interrupted was made from other evidence")

// continues returns why fresh, made of what the disks say now, does not go on where r stopped.
func (r *Report) continues(fresh *Report) error {
	same := r.Volume == fresh.Volume && r.SizeBytes == fresh.SizeBytes && r.CfgVer == fresh.CfgVer &&
		r.Explicit == fresh.Explicit && r.First == fresh.First && r.Recovery.same(fresh.Recovery) &&
		slices.Equal(usedLegs(r.Legs), usedLegs(fresh.Legs))
	whole := r.NextByte%volume.RegionBytes == 0 || r.NextByte == r.SizeBytes
	if !same || !whole || r.NextByte < 0 || r.NextByte > r.SizeBytes {
		return errOtherEvidence
	}
	return nil
}

// usedLegs returns which legs are used, by label, in their order.
func usedLegs(all []Verdict) []string {
	var used []string
	for _, v := range all {
		if v.Used {
			used = append(used, fmt.Sprintf("%s %d", v.Leg, v.SlotSeq))
		}
	}
	return used
}
