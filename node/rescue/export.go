package rescue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-storage/holdfast/node/durable"
	"github.com/holdfast-storage/holdfast/volume"
)

// Options says what to export, and where to.
type Options struct {
	Volume string // name or id
	// Legs are the operator's own choice: one leg of a mirror, k or more of parity; none: the labels decide.
	Legs []volume.LegID
	To   string // file to make; the report goes to To + ".report", work in progress to To + ".part"

	AllowUnreadable bool // make the file even if blocks of it are unreadable, or legs disagree without a mark
	Resume          bool // go on with an export that was interrupted
	Force           bool // replace To, and begin anew

	Progress func(done, total int64) // called now and then; nil: nobody wants to know
	Now      func() time.Time        // nil: the clock
}

// checkpointBytes is how much is exported between two syncs, which is what an interruption costs.
const checkpointBytes = 256 << 20

// UnreadableError says that an export is not whole. Everything that could be read is in the work file.
type UnreadableError struct {
	Bytes, Diverged int64
	Report          string
}

// Error says how much is missing, and what can be done.
func (e *UnreadableError) Error() string {
	return fmt.Sprintf("%d bytes can be read from no leg, and of %d bytes the legs disagree without reason; %s lists "+
		"them. Give the disks of further legs, or accept zeroes, and the content that the report names, there with "+
		"--resume --allow-unreadable", e.Bytes, e.Diverged, e.Report)
}

// Export writes a volume to a file. It returns the report also with an error, once it has begun: a
// *RefusedError before it began, an *UnreadableError at its end, the context's error when it was
// interrupted, after which Resume goes on.
func (c *Catalogue) Export(ctx context.Context, o Options) (*Report, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	switch store, err := c.onStore(o.To); {
	case err != nil:
		return nil, err
	case store != "":
		return nil, fmt.Errorf("%s would be on a store, %s: the disks are not changed; name a file elsewhere",
			o.To, store)
	}
	choice, err := choose(c.Legs, o.Volume, o.Legs)
	if err != nil {
		return nil, err
	}
	r := newReport(choice, o.Now())
	reader, err := newReader(choice, r)
	if err != nil {
		return nil, err
	}
	out, r, err := openOutput(o, r)
	if err != nil {
		return nil, err
	}
	reader.reportTo(r)
	e := &exporter{options: o, reader: reader, report: r, out: out}
	if err = e.checkpoint(); err == nil { // from here on Resume works, whatever happens
		err = e.run(ctx)
	}
	r.Ended = o.Now()
	// Also after an error: what is done is done, and an interruption goes on from here.
	err = errors.Join(err, e.checkpoint())
	if err == nil {
		err = e.finish()
	}
	return r, errors.Join(err, out.file.Close())
}

// output is the file that is being made.
type output struct {
	file                 *os.File
	path, part, reportAt string
}

// openOutput makes the work file, or opens the one of an interrupted export with its report. It returns the
// report to go on with.
func openOutput(o Options, fresh *Report) (*output, *Report, error) {
	out := &output{path: o.To, part: o.To + ".part", reportAt: o.To + ".report"}
	if err := out.checkNames(o); err != nil {
		return nil, nil, err
	}
	report, flags := fresh, os.O_RDWR|os.O_CREATE|os.O_EXCL
	if o.Resume {
		old, err := loadReport(out.reportAt)
		if err == nil {
			err = old.continues(fresh)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("resume the export to %s: %w; --force begins anew", o.To, err)
		}
		old.forgetFrom(old.NextByte)
		report, flags = old, os.O_RDWR
	}
	file, err := os.OpenFile(out.part, flags, 0o600)
	if err != nil {
		return nil, nil, err
	}
	out.file = file
	// What the report does not know of goes: zeroes are not written.
	if err := errors.Join(file.Truncate(report.NextByte), file.Truncate(report.SizeBytes)); err != nil {
		err = fmt.Errorf("make %s as long as the volume: %w", out.part, err)
		return nil, nil, errors.Join(err, file.Close())
	}
	return out, report, nil
}

// checkNames makes sure that nothing is overwritten unasked, and makes room if it was asked for.
func (out *output) checkNames(o Options) error {
	if o.Resume && o.Force {
		return errors.New("resume goes on and force begins anew: use one of them")
	}
	info, err := os.Lstat(out.path)
	switch {
	case err == nil && (!o.Force || !info.Mode().IsRegular()):
		return fmt.Errorf("%s exists and is not overwritten; name another file, or use --force if it is an "+
			"ordinary one", out.path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case o.Resume:
		return nil
	}
	for _, path := range []string{out.part, out.reportAt} {
		switch _, err := os.Lstat(path); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !o.Force:
			return fmt.Errorf("%s is there from another export; go on with --resume, or begin anew with --force", path)
		default:
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// reader reads a volume and notes what it had to choose.
type reader interface {
	// read returns the region of the volume from off on, valid until the next call. The error is one of the disk that
	// is no matter of single blocks, or the context's.
	read(ctx context.Context, off int64) ([]byte, error)
	// reportTo says where to note it.
	reportTo(*Report)
}

// newReader returns what reads a volume of the chosen legs. For parity it decides what becomes of the writes that
// were under way, and notes that in the report.
func newReader(c Choice, r *Report) (reader, error) {
	if c.Use[0].Layout.Kind == volume.KindParity {
		return newSetReader(c, r)
	}
	return newRegionReader(c.Use, r), nil
}

// exporter copies one volume.
type exporter struct {
	options Options
	reader  reader
	report  *Report
	out     *output
}

// run exports everything that is not exported yet.
func (e *exporter) run(ctx context.Context) error {
	r := e.report
	saved := r.NextByte
	for r.NextByte < r.SizeBytes {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("interrupted at byte %d of %d; --resume goes on from there: %w",
				r.NextByte, r.SizeBytes, err)
		}
		content, err := e.reader.read(ctx, r.NextByte)
		if err != nil {
			return fmt.Errorf("at byte %d of %d: %w", r.NextByte, r.SizeBytes, err)
		}
		if err := e.write(content, r.NextByte); err != nil {
			return err
		}
		r.NextByte += int64(len(content))
		if r.NextByte-saved >= checkpointBytes {
			if err := e.checkpoint(); err != nil {
				return err
			}
			saved = r.NextByte
		}
		if e.options.Progress != nil {
			e.options.Progress(r.NextByte, r.SizeBytes)
		}
	}
	return nil
}

// write puts content, whole blocks, at off of the work file, which reads as zeroes there: blocks of zeroes
// stay holes.
func (e *exporter) write(content []byte, off int64) error {
	for at := 0; at < len(content); {
		if isZero(content[at : at+volume.BlockBytes]) {
			at += volume.BlockBytes
			continue
		}
		end := at + volume.BlockBytes
		for end < len(content) && !isZero(content[end:end+volume.BlockBytes]) {
			end += volume.BlockBytes
		}
		if _, err := e.out.file.WriteAt(content[at:end], off+int64(at)); err != nil {
			return fmt.Errorf("write %s: %w", e.out.part, err)
		}
		at = end
	}
	return nil
}

// checkpoint makes everything so far durable, then the report that says so.
func (e *exporter) checkpoint() error {
	if err := e.out.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", e.out.part, err)
	}
	return e.report.save(e.out.reportAt)
}

// finish gives a whole file its name.
func (e *exporter) finish() error {
	r := e.report
	if n, d := Bytes(r.Unreadable), Bytes(r.Diverged); n+d > 0 && !e.options.AllowUnreadable {
		return &UnreadableError{Bytes: n, Diverged: d, Report: e.out.reportAt}
	}
	if !e.options.Force {
		if _, err := os.Lstat(e.out.path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s appeared meanwhile; the export is in %s", e.out.path, e.out.part)
		}
	}
	if err := os.Rename(e.out.part, e.out.path); err != nil {
		return err
	}
	if err := durable.SyncDir(filepath.Dir(e.out.path)); err != nil {
		return err
	}
	r.Done = true
	return r.save(e.out.reportAt)
}
