// Package counter is a real guest that needs no operating system: a boot sector that counts on its disk. Firmware of a
// PC loads it, and it reads a number from the second block, adds one, writes it back, and reports it on the first
// serial line, eighteen times a second. Its disk has no write cache that it knows of, so what it has reported is
// flushed.
package counter

import (
	"strconv"
	"strings"
)

// SectorBytes is the size of a block of the guest's disk.
const SectorBytes = 512

// Disk returns the beginning of a disk: the boot sector, and the block with the number, zero.
func Disk() []byte {
	disk := make([]byte, 2*SectorBytes)
	copy(disk, program())
	disk[SectorBytes-2], disk[SectorBytes-1] = 0x55, 0xaa // without these no firmware starts it
	return disk
}

// Reported returns the numbers that a guest has reported whole, from what it wrote to its serial line. Firmware writes
// there, too, and ended lines that are no number are passed over.
func Reported(console string) []uint64 {
	var all []uint64
	lines := strings.Split(console, "\n")
	for _, line := range lines[:len(lines)-1] { // what follows the last end of a line may be cut
		line = strings.TrimSpace(line)
		if line = line[max(0, len(line)-8):]; len(line) < 8 {
			continue
		}
		if n, err := strconv.ParseUint(line, 16, 32); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// program is the guest, for the 8086's successors in real mode, at 0x7c00. DL is the disk that it was loaded from.
func program() []byte {
	return []byte{
		0xfa,       // cli
		0x31, 0xc0, // xor ax, ax
		0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, // mov ds, ax; mov es, ax; mov ss, ax
		0xbc, 0x00, 0x7c, // mov sp, 0x7c00
		0x88, 0x16, 0xfd, 0x7d, // mov [0x7dfd], dl
		0xfb, // sti

		// again: one block from the disk to 0x8000, one more, and back.
		0xb4, 0x42, // mov ah, 0x42: extended read
		0xe8, 0x39, 0x00, // call disk
		0x66, 0xff, 0x06, 0x00, 0x80, // inc dword [0x8000]
		0xb8, 0x00, 0x43, // mov ax, 0x4300: extended write
		0xe8, 0x2e, 0x00, // call disk

		// It is on the disk: report it, eight digits from the highest on.
		0x66, 0xa1, 0x00, 0x80, // mov eax, [0x8000]
		0xb9, 0x08, 0x00, // mov cx, 8
		0xba, 0xf8, 0x03, // mov dx, 0x3f8
		0x66, 0xc1, 0xc0, 0x04, // digit: rol eax, 4
		0x66, 0x50, // push eax
		0x24, 0x0f, 0x04, 0x30, // and al, 15; add al, '0'
		0x3c, 0x3a, 0x72, 0x02, // cmp al, '9'+1; jb out
		0x04, 0x27, // add al, 'a'-'9'-1
		0xee,       // out: out dx, al
		0x66, 0x58, // pop eax
		0xe2, 0xeb, // loop digit
		0xb0, 0x0a, 0xee, // mov al, 10; out dx, al

		// Wait for the next tick of the clock, at 0x46c.
		0xa1, 0x6c, 0x04, // mov ax, [0x46c]
		0xf4,                   // wait: hlt
		0x3b, 0x06, 0x6c, 0x04, // cmp ax, [0x46c]
		0x74, 0xf9, // je wait
		0xeb, 0xc2, // jmp again

		// disk: the firmware moves the block.
		0x8a, 0x16, 0xfd, 0x7d, // mov dl, [0x7dfd]
		0xbe, 0x64, 0x7c, // mov si, packet
		0xcd, 0x13, // int 0x13
		0x72, 0x01, 0xc3, // jc fail; ret
		0xba, 0xf8, 0x03, 0xb0, 0x21, 0xee, // fail: mov dx, 0x3f8; mov al, '!'; out dx, al
		0xf4, 0xeb, 0xfd, // stop: hlt; jmp stop

		// packet: sixteen bytes, one block, to 0000:8000, from block 1.
		0x10, 0x00, 0x01, 0x00, 0x00, 0x80, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	}
}
