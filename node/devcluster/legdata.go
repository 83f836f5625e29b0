package devcluster

// LegData returns the file that holds a leg's data at rest (docs/ondisk.md), for looking at it
// while the volume is detached. leg is the leg's id in text form.
func (c *Cluster) LegData(node, leg string) string {
	return c.path(node, "store", "legs", leg, "data")
}
