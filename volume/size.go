package volume

import (
	"fmt"
	"strconv"
	"strings"
)

// BlockBytes is the unit of a volume: sizes are multiples of it, legs see nothing smaller.
const BlockBytes = 4096

// RegionBytes is the span of one mark and one region version (protocol §1.2).
const RegionBytes = 1 << 20

// MaxSizeBytes is the largest volume: 64 TiB.
const MaxSizeBytes = 64 << 40

// ParseSize reads a size in bytes: a number with an optional K, M, G or T (powers of 1024).
func ParseSize(s string) (int64, error) {
	digits, shift := s, 0
	if i := strings.IndexByte("KMGT", lastByte(strings.ToUpper(s))); i >= 0 {
		digits, shift = s[:len(s)-1], 10*(i+1)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > MaxSizeBytes>>shift {
		return 0, fmt.Errorf("size %q: want a number with K, M, G or T behind it, up to 64T, as in 10G", s)
	}
	return n << shift, nil
}

// CheckSize returns why a volume cannot have this size, nil if it can.
func CheckSize(bytes int64) error {
	switch {
	case bytes <= 0 || bytes > MaxSizeBytes:
		return fmt.Errorf("size %d: a volume has 4096 bytes to 64 TiB", bytes)
	case bytes%BlockBytes != 0:
		return fmt.Errorf("size %d is no multiple of the block of %d bytes; the next one is %d",
			bytes, BlockBytes, (bytes/BlockBytes+1)*BlockBytes)
	}
	return nil
}

// FormatSize prints a size as people read it: 512 MiB, 1.5 GiB.
func FormatSize(bytes int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	value, i := float64(bytes), 0
	for ; value >= 1024 && i < len(units)-1; i++ {
		value /= 1024
	}
	if i == 0 || value == float64(int64(value)) {
		return fmt.Sprintf("%.0f %s", value, units[i])
	}
	return fmt.Sprintf("%.1f %s", value, units[i])
}

// SizeText writes a size exactly, in the shortest form that ParseSize reads.
func SizeText(bytes int64) string {
	const units = "KMGT"
	i := 0
	for ; i < len(units) && bytes > 0 && bytes%1024 == 0; i++ {
		bytes /= 1024
	}
	if i == 0 {
		return fmt.Sprint(bytes)
	}
	return fmt.Sprintf("%d%c", bytes, units[i-1])
}

func lastByte(s string) byte {
	if s == "" {
		return 0
	}
	return s[len(s)-1]
}
