package leg

// maxPersistSectors bounds one EffectPersist, which is made under the leg's lock, to 1 MiB of the file
// regions: the marks of 7 TiB, or the versions of 126 GiB.
const maxPersistSectors = 2048

// dirtySectors is the sectors of the file regions that say less than memory, in the order in which they
// became so. Each change has a number; what is taken from the head covers the changes below the next.
type dirtySectors struct {
	changes uint64        // number of the newest change
	queue   []dirtySector // oldest first
	queued  bitset
}

type dirtySector struct {
	number uint32
	since  uint64 // number of the first change that the disk lacks
}

// touch notes a change of a sector.
func (d *dirtySectors) touch(number uint32) {
	d.changes++
	if d.queued.set(number) {
		d.queue = append(d.queue, dirtySector{number, d.changes})
	}
}

// take removes up to n sectors from the head. covered is the newest change that is on the disk, with all
// before it, once these are.
func (d *dirtySectors) take(n int) (numbers []uint32, covered uint64) {
	n = min(n, len(d.queue))
	for _, s := range d.queue[:n] {
		numbers = append(numbers, s.number)
		d.queued.unset(s.number)
	}
	if d.queue = d.queue[n:]; len(d.queue) > 0 {
		return numbers, d.queue[0].since - 1
	}
	return numbers, d.changes
}
