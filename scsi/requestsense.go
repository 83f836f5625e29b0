package scsi

import "context"

// requestSense is REQUEST SENSE. Sense travels with the status that caused it, so all that can be
// pending is the nexus's unit attention, which this command reports and clears (SPC-4 §6.39).
func requestSense(d *Disk, _ context.Context, cmd *Command, res *Response) {
	var sense Sense
	if pending, ok := d.state.pending(); ok {
		sense = pending
	}
	if attention := d.attention.take(cmd.Nexus); attention != 0 {
		sense, res.attention = attention.sense(), attention
	}
	replySense(cmd, res, sense)
}

func replySense(cmd *Command, res *Response, sense Sense) {
	if cmd.CDB[1]&1 != 0 {
		res.Reply(cmd, sense.AppendDescriptor(nil), int64(cmd.CDB[4]))
		return
	}
	res.Reply(cmd, sense.AppendFixed(nil), int64(cmd.CDB[4]))
}
