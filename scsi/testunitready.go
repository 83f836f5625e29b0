package scsi

import "context"

// testUnitReady is TEST UNIT READY. A unit exists only while its device is open, so it is ready.
func testUnitReady(*Disk, context.Context, *Command, *Response) {}
