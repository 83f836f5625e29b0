// Package filedev offers a regular file or a block special file as a block.Device.
//
// A completed write is in the page cache; Flush and FUA put it on stable storage with fdatasync.
// After a failed fdatasync the kernel may have thrown the data away while marking its pages clean,
// so the device then fails every further request instead of trying again.
//
// The package keeps no copy of anything in memory and no goroutine. It does not know labels,
// epochs or checksums: a leg adds those.
package filedev
