package leg

import (
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// regionModel is a disk with a label and regions, and what must hold of them whatever the Core does. It
// knows nothing of the Core's own books.
type regionModel struct {
	t       require.TestingT
	label   volume.Label
	regions *Regions

	touched         map[uint32]*touchedRegion // that a write ever entered
	admitted        int                       // writes that entered
	written, synced int                       // writes that ended, and how many of them a sync covered
}

// touchedRegion is what is known of a region that was written.
type touchedRegion struct {
	window uint64        // of the newest write
	stamp  volume.CfgVer // the newest configuration that it was written, or marked, under
	since  int           // number of the oldest write that no STABLE covers
	last   int           // number of the newest write that ended
	stable bool          // a STABLE that covers every write was accepted: the mark may go
}

func newRegionModel(t require.TestingT, l volume.Label) regionModel {
	return regionModel{t: t, label: l, regions: NewRegions(l.LegID, l.SizeBytes),
		touched: map[uint32]*touchedRegion{}}
}

// entered notes a write that the gate admitted.
func (m *regionModel) entered(first, end uint32, window uint64, stamp volume.CfgVer) {
	m.admitted++
	for i := first; i < end; i++ {
		r := m.touched[i]
		if r == nil {
			r = &touchedRegion{stable: true}
			m.touched[i] = r
		}
		if r.stable {
			r.since = m.admitted
		}
		r.window, r.stable, r.stamp = window, false, max(r.stamp, stamp)
	}
	m.check()
}

// ended notes that a write ended, or that its process did.
func (m *regionModel) ended(first, end uint32) {
	m.written++
	for i := first; i < end; i++ {
		m.touched[i].last = m.written
	}
}

// stable notes that a STABLE of the window gen was accepted.
func (m *regionModel) stable(gen uint64) {
	for _, r := range m.touched {
		if r.window <= gen {
			r.stable = true
		}
	}
}

// newInstance notes that all marks which are found belong to the first window of a new process.
func (m *regionModel) newInstance(window uint64) {
	for _, r := range m.touched {
		r.window, r.stamp = window, min(r.stamp, m.label.Config.CfgVer)
	}
}

// spoil lets a sector rot: what it said is gone.
func (m *regionModel) spoil(bad uint32) {
	fresh := NewRegions(m.label.LegID, m.label.SizeBytes)
	for n := range fresh.Sectors() {
		s := m.regions.Sector(n)
		if n == bad {
			s.Bytes[n%RegionSectorBytes] ^= 4
		}
		require.NoError(m.t, fresh.Load(s))
	}
	require.Equal(m.t, 1, fresh.Damaged())
	m.regions = fresh
}

// unsafe reports whether a region was written that no STABLE covers.
func (m *regionModel) unsafe() bool {
	for _, r := range m.touched {
		if !r.stable {
			return true
		}
	}
	return false
}

// check holds that every region written since the last STABLE that covers it is marked on the disk.
func (m *regionModel) check() {
	for i, r := range m.touched {
		if !r.stable && (!m.label.Marked || !m.regions.Marked(i)) && m.regions.damaged.size == 0 {
			require.Fail(m.t, "an unstable write without a mark on the disk", "region %d", i)
		}
	}
}

// checkStamps holds that a CONFIG which was answered has stamped what was marked when it came, after so many writes had
// entered. A write that entered since was stamped in memory by its own mark, as any other: that stamp has to be durable
// before the mark goes, and a start that finds the mark without it raises it to the label's configuration.
func (m *regionModel) checkStamps(ver volume.CfgVer, admitted int) {
	for i, r := range m.touched {
		if r.stable {
			continue
		}
		r.stamp = max(r.stamp, ver)
		if r.since <= admitted && m.regions.Version(i) < ver {
			require.Fail(m.t, "CONFIG was answered without the stamp of a marked region", "region %d", i)
		}
	}
}

// checkSector holds what a new content of a sector may change.
func (m *regionModel) checkSector(s RegionSector, start bool) {
	if s.Number == 0 {
		return
	}
	says := NewRegions(m.label.LegID, m.label.SizeBytes)
	require.NoError(m.t, says.Load(s))
	require.Zero(m.t, says.Damaged())
	first, end, marks := m.regions.sectorRegions(s.Number)
	for i := first; i < end; i++ {
		r := m.touched[i]
		if r == nil {
			continue
		}
		if !marks {
			if says.Version(i) < m.regions.Version(i) {
				require.Fail(m.t, "a version went back", "region %d", i)
			}
			continue
		}
		if says.Marked(i) {
			continue
		}
		require.True(m.t, r.stable, "the mark of region %d goes without a STABLE", i)
		if m.regions.Marked(i) && m.label.Marked && !start {
			require.LessOrEqual(m.t, r.last, m.synced, "cleared before the data was synced")
			require.GreaterOrEqual(m.t, m.regions.Version(i), r.stamp, "cleared before the stamp is durable")
		}
	}
}
