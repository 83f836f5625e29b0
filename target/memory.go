package target

import "sync/atomic"

// memory is what the connections of a server may occupy together beyond what each may always have. It
// keeps many hungry connections from taking all memory, and none from going on.
type memory struct {
	free  atomic.Int64
	share int64 // bytes that each connection has without asking
}

func (m *memory) init(o Options) {
	m.free.Store(o.MemoryBytes)
	m.share = int64(o.MaxBurstBytes)
}

// take takes n bytes, or says that there are not so many.
func (m *memory) take(n int64) bool {
	for {
		free := m.free.Load()
		if free < n {
			return false
		}
		if m.free.CompareAndSwap(free, free-n) {
			return true
		}
	}
}

func (m *memory) give(n int64) { m.free.Add(n) }
