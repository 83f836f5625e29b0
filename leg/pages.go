package leg

import (
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// maxPageRegions is how many regions one page looks at, so that the lock is held for a millisecond: 1 TiB.
const maxPageRegions = 1 << 20

// pageEnd returns the region behind the last that a page from first on looks at.
func (c *Core) pageEnd(first uint32) uint32 {
	return uint32(min(uint64(first)+maxPageRegions, uint64(c.regions.Count())))
}

// Marks returns one page of the regions from first on that are marked or newer than since. A page may
// hold none; ask until Next is Regions.
func (c *Core) Marks(id SessionID, since volume.CfgVer, first uint32) (inband.MarksPage, error) {
	if _, err := c.live(id); err != nil {
		return inband.MarksPage{}, err
	}
	page := inband.MarksPage{Regions: c.regions.Count(), Next: c.pageEnd(first)}
	var run inband.Run
	for i := first; i < page.Next; i++ {
		marked, newer := c.regions.Marked(i), c.regions.Version(i) > since
		if run.Count > 0 && run.Marked == marked && run.Newer == newer {
			run.Count++
			continue
		}
		if run.Count > 0 {
			page.Runs = append(page.Runs, run)
			run.Count = 0
		}
		if len(page.Runs) == inband.MaxRuns {
			page.Next = i
			return page, nil
		}
		if marked || newer {
			run = inband.Run{First: i, Count: 1, Marked: marked, Newer: newer}
		}
	}
	if run.Count > 0 {
		page.Runs = append(page.Runs, run)
	}
	return page, nil
}

// Versions returns one page of the regions from first on whose version is newer than since. A page may
// hold none; ask until Next is Regions.
func (c *Core) Versions(id SessionID, since volume.CfgVer, first uint32) (inband.VersionsPage, error) {
	if _, err := c.live(id); err != nil {
		return inband.VersionsPage{}, err
	}
	page := inband.VersionsPage{Regions: c.regions.Count(), Next: c.pageEnd(first)}
	var run volume.VersionRun
	for i := first; i < page.Next; i++ {
		version := c.regions.Version(i)
		if run.Count > 0 && run.Version == version {
			run.Count++
			continue
		}
		if run.Count > 0 {
			page.Runs = append(page.Runs, run)
			run.Count = 0
		}
		if len(page.Runs) == inband.MaxRuns {
			page.Next = i
			return page, nil
		}
		if version > since {
			run = volume.VersionRun{First: i, Count: 1, Version: version}
		}
	}
	if run.Count > 0 {
		page.Runs = append(page.Runs, run)
	}
	return page, nil
}
