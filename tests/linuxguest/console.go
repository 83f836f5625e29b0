package linuxguest

import (
	"regexp"
	"strconv"
)

// Began returns from which numbers the guests of a console began to count, in order: what each found on its disk.
func Began(console string) []uint64 { return numbers(console, `guest: goes on from (\d+)\r?\n`) }

// Synced returns the numbers that the guests of a console have reported, in order. Each was on the disk by then.
func Synced(console string) []uint64 { return numbers(console, `guest: synced (\d+)\r?\n`) }

// numbers returns the numbers of all whole lines of a form. A line may follow what a shell left on it.
func numbers(console, form string) []uint64 {
	var all []uint64
	for _, found := range regexp.MustCompile(form).FindAllStringSubmatch(console, -1) {
		if n, err := strconv.ParseUint(found[1], 10, 64); err == nil {
			all = append(all, n)
		}
	}
	return all
}
