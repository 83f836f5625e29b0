package volume

// MaxSlots is the most slots that a layout has.
const MaxSlots = MaxDataLegs + MaxParityLegs

// Quorum returns how many in-sync legs a volume needs to be read: one of a mirror, K of parity.
func (l Layout) Quorum() int { return l.Data }

// Worth returns how many legs of the layout the legs in these slots stand for. A slot has two legs while one
// takes the other's place. Each leg of a mirror is a whole copy and counts; two legs of parity in one slot
// hold the same part, so the slot counts once: with k legs in fewer than k slots nothing can be decoded.
func (l Layout) Worth(slots []int) int {
	if l.Kind != KindParity {
		return len(slots)
	}
	var seen [MaxSlots]bool
	n := 0
	for _, slot := range slots {
		if slot >= 0 && slot < l.Legs() && slot < MaxSlots && !seen[slot] {
			seen[slot] = true
			n++
		}
	}
	return n
}

// Enough reports whether the legs in these slots have all of the volume (G2, I12): one of a mirror, K slots of
// parity. It is the one place that decides so, for raft, its controllers and rescue alike.
func (l Layout) Enough(slots []int) bool { return l.Quorum() > 0 && l.Worth(slots) >= l.Quorum() }
