package engine

import (
	"context"
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/initiator"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/scsi"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// command runs one in-band command on the session of this moment. It takes hold of the session
// first and looks at ctx then: the mirror ends ctx when the session for which it decided the
// command ends, so what was decided for one session never travels on a later one.
func (l *leg) command(ctx context.Context, c inband.Command, out []byte) ([]byte, error) {
	s := l.current.Load()
	if s == nil {
		return nil, l.noSession()
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("leg %s on %s: %s: %w", l.spec.ID.Short(), l.spec.Node, c.Action(), err)
	}
	in, err := execute(ctx, s.session, c, out)
	if err != nil {
		return nil, fmt.Errorf("leg %s on %s: %w", l.spec.ID.Short(), l.spec.Node, err)
	}
	return in, nil
}

// execute runs one in-band command on a session and returns its data-in.
func execute(ctx context.Context, s *initiator.Session, c inband.Command, out []byte) ([]byte, error) {
	in := make([]byte, c.DataInBytes())
	n, err := s.Execute(ctx, 0, scsi.CDB(c.CDB()), out, in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Action(), err)
	}
	return in[:n], nil
}

// malformed is the failure of a leg whose answer cannot be read.
func malformed(c inband.Command, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %w", c.Action(), block.ErrFailed, err)
}

func readLabel(ctx context.Context, s *initiator.Session) (volume.LegReport, error) {
	in, err := execute(ctx, s, inband.ReadLabel{}, nil)
	if err != nil {
		return volume.LegReport{}, err
	}
	report, err := inband.ParseReport(in)
	return report, malformed(inband.ReadLabel{}, err)
}

// Config makes a configuration durable on the leg and opens it for I/O.
func (l *leg) Config(ctx context.Context, config volume.Config) error {
	out, err := inband.AppendConfig(nil, l.ticket.Epoch, config)
	if err != nil {
		return err
	}
	_, err = l.command(ctx, inband.Config{ParamBytes: uint32(len(out))}, out)
	return err
}

// Rotate starts a new window of marks and returns the generation of the one that ended.
func (l *leg) Rotate(ctx context.Context) (mirror.Rotation, error) {
	in, err := l.command(ctx, inband.Rotate{}, nil)
	if err != nil {
		return mirror.Rotation{}, err
	}
	generation, seq, err := inband.ParseRotation(in)
	return mirror.Rotation{Generation: generation, Seq: seq}, malformed(inband.Rotate{}, err)
}

// Stable clears the marks of generations up to gen, and returns the label's progress.
func (l *leg) Stable(ctx context.Context, gen uint64) (uint64, error) {
	return l.progress(ctx, inband.Stable{Generation: gen})
}

func (l *leg) progress(ctx context.Context, c inband.Command) (uint64, error) {
	in, err := l.command(ctx, c, nil)
	if err != nil {
		return 0, err
	}
	progress, err := inband.ParseProgress(in)
	return progress, malformed(c, err)
}

// Marks asks page by page and merges what touches. A leg that does not get on is refused: its
// answer decides what is copied.
func (l *leg) Marks(ctx context.Context, since volume.CfgVer) (marked, newer []block.Range, err error) {
	for first := uint32(0); ; {
		c := inband.Marks{Since: since, FirstRegion: first}
		in, err := l.command(ctx, c, nil)
		if err != nil {
			return nil, nil, err
		}
		page, err := inband.ParseMarks(in)
		if err == nil && page.Regions != l.regions() {
			err = fmt.Errorf("the leg has %d regions, want %d", page.Regions, l.regions())
		}
		if err == nil && page.Next <= first {
			err = fmt.Errorf("the page from region %d does not get on", first)
		}
		if err != nil {
			return nil, nil, malformed(c, err)
		}
		for _, run := range page.Runs {
			r := l.span(run)
			if run.Marked {
				marked = appendRange(marked, r)
			}
			if run.Newer {
				newer = appendRange(newer, r)
			}
		}
		if first = page.Next; first >= page.Regions {
			return marked, newer, nil
		}
	}
}

// bytes returns how much of the volume the leg holds.
func (l *leg) bytes() int64 { return l.ticket.Layout.LegBytes(l.ticket.SizeBytes) }

// regions returns how many regions the leg has; the last may be shorter than the others.
func (l *leg) regions() uint32 {
	return uint32((l.bytes() + volume.RegionBytes - 1) / volume.RegionBytes)
}

// span returns the bytes of a run of regions.
func (l *leg) span(run inband.Run) block.Range {
	r := block.Range{Off: int64(run.First) * volume.RegionBytes, Len: int64(run.Count) * volume.RegionBytes}
	return r.Intersect(block.Range{Len: l.bytes()})
}

// appendRange appends r, or makes the last range longer if r continues it.
func appendRange(list []block.Range, r block.Range) []block.Range {
	if n := len(list); n > 0 && list[n-1].End() == r.Off {
		list[n-1].Len += r.Len
		return list
	}
	return append(list, r)
}

// Checksums returns one CRC32C per block of r, which is made of whole blocks, and which are bad.
func (l *leg) Checksums(ctx context.Context, r block.Range, medium bool) (mirror.Checksums, error) {
	var all mirror.Checksums
	err := l.byBlocks(r, func(first uint64, blocks uint32) error {
		c := inband.Checksums{FirstBlock: first, Blocks: blocks, Medium: medium}
		in, err := l.command(ctx, c, nil)
		if err != nil {
			return err
		}
		sums, bad, err := inband.ParseChecksums(in, int(blocks))
		if err != nil {
			return malformed(c, err)
		}
		for _, b := range bad {
			all.Bad = append(all.Bad, uint32(len(all.Sums))+b)
		}
		all.Sums = append(all.Sums, sums...)
		return nil
	})
	return all, err
}

// Adopt makes what the bad blocks of r hold count as what was written.
func (l *leg) Adopt(ctx context.Context, r block.Range) error {
	return l.byBlocks(r, func(first uint64, blocks uint32) error {
		_, err := l.command(ctx, inband.Adopt{FirstBlock: first, Blocks: blocks}, nil)
		return err
	})
}

// byBlocks calls do for pieces of r that one command can name.
func (l *leg) byBlocks(r block.Range, do func(first uint64, blocks uint32) error) error {
	if !r.Aligned(volume.BlockBytes) || !r.Within(l.bytes()) {
		return fmt.Errorf("leg %s: blocks of %s: %w", l.spec.ID.Short(), r, block.ErrMisaligned)
	}
	for off := r.Off; off < r.End(); {
		blocks := min((r.End()-off)/volume.BlockBytes, inband.MaxChecksumBlocks)
		if err := do(uint64(off/volume.BlockBytes), uint32(blocks)); err != nil {
			return err
		}
		off += blocks * volume.BlockBytes
	}
	return nil
}

// Versions asks page by page.
func (l *leg) Versions(ctx context.Context, since volume.CfgVer) ([]volume.VersionRun, error) {
	var runs []volume.VersionRun
	for first := uint32(0); ; {
		c := inband.Versions{Since: since, FirstRegion: first}
		in, err := l.command(ctx, c, nil)
		if err != nil {
			return nil, err
		}
		page, err := inband.ParseVersions(in)
		if err == nil && page.Regions != l.regions() {
			err = fmt.Errorf("the leg has %d regions, want %d", page.Regions, l.regions())
		}
		if err == nil && page.Next <= first {
			err = fmt.Errorf("the page from region %d does not get on", first)
		}
		if err != nil {
			return nil, malformed(c, err)
		}
		runs = append(runs, page.Runs...)
		if first = page.Next; first >= page.Regions {
			return runs, nil
		}
	}
}

// Stamp makes versions durable where they are newer than the leg's own, page by page.
func (l *leg) Stamp(ctx context.Context, runs []volume.VersionRun) error {
	for len(runs) > 0 {
		n := min(len(runs), inband.MaxRuns)
		out, err := inband.AppendVersions(nil, inband.VersionsPage{
			Next: l.regions(), Regions: l.regions(), Runs: runs[:n]})
		if err != nil {
			return err
		}
		if _, err := l.command(ctx, inband.Stamp{ParamBytes: uint32(len(out))}, out); err != nil {
			return err
		}
		runs = runs[n:]
	}
	return nil
}

// Detach makes {closed, clean} durable: the epoch is spent on this leg. It returns the label's progress.
func (l *leg) Detach(ctx context.Context, clean bool) (uint64, error) {
	return l.progress(ctx, inband.Detach{Clean: clean})
}
