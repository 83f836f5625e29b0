package scsi

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/holdfast-storage/holdfast/block"
)

func copyListBytes(cdb []byte) int64 { return int64(binary.BigEndian.Uint32(cdb[10:])) }

// extendedCopyLen is the data-out of EXTENDED COPY: its parameter list, if it can be valid.
func extendedCopyLen(d *Disk, cdb []byte) int64 {
	n := copyListBytes(cdb)
	if n > min(copyHeaderBytes+maxCopyList, d.options.MaxTransferBytes) {
		return 0
	}
	return n
}

// extendedCopy is EXTENDED COPY (LID1), block to block between units of this target (SPC-4 §6.4). The
// whole list is checked before the first segment is copied.
func extendedCopy(d *Disk, ctx context.Context, cmd *Command, res *Response) {
	length := copyListBytes(cmd.CDB)
	if length == 0 {
		return
	}
	if int64(len(cmd.DataOut)) < length {
		res.refuse(senseListLength)
		return
	}
	list, sense := parseCopyList(cmd.DataOut[:length])
	if sense != 0 {
		res.refuse(sense)
		return
	}
	jobs := make([]copyJob, 0, len(list.segments))
	for _, s := range list.segments {
		job, sense := d.plan(cmd.Nexus, list.targets, s)
		if sense != 0 {
			res.refuse(sense)
			return
		}
		jobs = append(jobs, job)
	}
	result := copyResult{id: list.id, nexus: cmd.Nexus}
	for _, job := range jobs {
		if err := job.run(ctx, cmd); err != nil {
			result.failed = true
			res.Fail(err)
			if res.Status == CheckCondition {
				res.refuse(senseCopyFailed)
			}
			break
		}
		result.segments++
		result.bytes += uint64(job.from.Len)
	}
	if list.hold {
		d.copies.keep(result)
	}
}

var errCopyEnded = errors.New("copy: aborted, or a reservation keeps it out")

// ReachesOtherUnits reports whether a command may work on other units than the one that it is sent to.
func ReachesOtherUnits(cdb []byte) bool { return cdb[0] == opExtendedCopy }

// copyJob is one segment whose ranges have been checked.
type copyJob struct {
	source, destination *Disk
	from                block.Range
	to                  int64 // offset
}

// plan finds the units of a segment and checks its ranges.
func (d *Disk) plan(n Nexus, targets [][]byte, s copySegment) (copyJob, senseCode) {
	if int(s.source) >= len(targets) || int(s.destination) >= len(targets) {
		return copyJob{}, senseCopyTarget
	}
	job := copyJob{source: d.findUnit(targets[s.source]), destination: d.findUnit(targets[s.destination])}
	if job.source == nil || job.destination == nil {
		return copyJob{}, senseCopyTarget
	}
	counted := job.source
	if s.dc {
		counted = job.destination
	}
	bytes := int64(s.blocks) * counted.blockBytes
	from, ok := job.source.bytesFrom(s.sourceLBA, bytes)
	to, fits := job.destination.bytesFrom(s.destinationLBA, bytes)
	switch {
	case !ok || !fits:
		return copyJob{}, senseCopyRange
	case job.source.keepsOut(n, accessRead), job.destination.keepsOut(n, accessWrite):
		return copyJob{}, senseCopyTarget
	case job.destination.writeProtected():
		return copyJob{}, senseCopyProtected
	case job.source.state.bits.Load()|job.destination.state.bits.Load() != 0:
		return copyJob{}, senseCopyTarget
	}
	job.from, job.to = from, to.Off
	return job, 0
}

// bytesFrom is the range of this many bytes from a block on; ok says whether the unit has it, in
// whole blocks.
func (d *Disk) bytesFrom(lba uint64, bytes int64) (r block.Range, ok bool) {
	if bytes%d.blockBytes != 0 || lba > d.blocks || uint64(bytes/d.blockBytes) > d.blocks-lba {
		return block.Range{}, false
	}
	return block.Range{Off: int64(lba) * d.blockBytes, Len: bytes}, true
}

// run copies. A destination that overlaps its own source from behind is copied from its end, so that
// nothing is read that was written before.
//
// A reservation that comes meanwhile ends it, and so does whoever aborts the command: PREEMPT AND ABORT waits
// for that.
func (j copyJob) run(ctx context.Context, cmd *Command) error {
	buffer := j.source.scratch.get()
	defer j.source.scratch.put(buffer)
	step := min(int64(len(*buffer)), j.source.options.MaxTransferBytes, j.destination.options.MaxTransferBytes)
	step -= step % max(j.source.blockBytes, j.destination.blockBytes)
	if step == 0 {
		step = max(j.source.blockBytes, j.destination.blockBytes)
	}
	backwards := j.source == j.destination && j.to > j.from.Off
	for done := int64(0); done < j.from.Len; {
		if cmd.aborted() || j.source.keepsOut(cmd.Nexus, accessRead) || j.destination.keepsOut(cmd.Nexus, accessWrite) {
			return errCopyEnded
		}
		n := min(step, j.from.Len-done)
		at := done
		if backwards {
			at = j.from.Len - done - n
		}
		if err := j.source.device.Read(ctx, (*buffer)[:n], j.from.Off+at); err != nil {
			return err
		}
		if err := j.destination.device.Write(ctx, (*buffer)[:n], j.to+at, 0); err != nil {
			return err
		}
		done += n
	}
	return nil
}
