package scsi

import (
	"maps"
	"sync/atomic"
)

// maxKnownNexuses bounds how many nexuses a unit remembers. When it is reached all are forgotten:
// each gets its unit attention once more, which initiators take in their stride.
const maxKnownNexuses = 256

// attentions remembers which nexuses have had their power-on unit attention. The set is replaced
// as a whole when it grows, so that the data path only loads a pointer.
type attentions struct {
	known atomic.Pointer[map[Nexus]struct{}]
}

// take reports whether the nexus has a unit attention pending, and clears it.
func (a *attentions) take(n Nexus) bool {
	for {
		old := a.known.Load()
		if old != nil {
			if _, ok := (*old)[n]; ok {
				return false
			}
		}
		next := map[Nexus]struct{}{n: {}}
		if old != nil && len(*old) < maxKnownNexuses {
			maps.Copy(next, *old)
		}
		if a.known.CompareAndSwap(old, &next) {
			return true
		}
	}
}
