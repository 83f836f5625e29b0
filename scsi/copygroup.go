package scsi

import "sync"

// CopyGroup finds the units of a target by their NAA designator, for EXTENDED COPY. The zero value
// is empty and ready.
type CopyGroup struct {
	mu    sync.Mutex
	units map[string]*Disk
}

func (g *CopyGroup) add(d *Disk) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.units == nil {
		g.units = make(map[string]*Disk)
	}
	g.units[string(d.options.NAA)] = d
}

// Remove takes a unit out of the group, before its device is closed.
func (g *CopyGroup) Remove(d *Disk) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.units[string(d.options.NAA)] == d {
		delete(g.units, string(d.options.NAA))
	}
}

// find returns the unit with this designator, or nil.
func (d *Disk) findUnit(naa []byte) *Disk {
	if string(naa) == string(d.options.NAA) {
		return d
	}
	g := d.options.CopyGroup
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.units[string(naa)]
}
