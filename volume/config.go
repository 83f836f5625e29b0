package volume

import "slices"

// Config is one committed version of a volume's in-sync list. The two belong together and travel
// together: a label holds them as one atomic pair (protocol §1.2).
type Config struct {
	CfgVer CfgVer  `json:"cfgver"`
	InSync []LegID `json:"in_sync"` // sorted as raft keeps it; the slice is not shared when mutated
}

// Contains reports whether leg is in the in-sync list.
func (c Config) Contains(leg LegID) bool { return slices.Contains(c.InSync, leg) }

// Equal reports whether both versions and lists are the same.
func (c Config) Equal(o Config) bool {
	return c.CfgVer == o.CfgVer && slices.Equal(c.InSync, o.InSync)
}

// Clone returns a copy that shares nothing with c.
func (c Config) Clone() Config { return Config{CfgVer: c.CfgVer, InSync: slices.Clone(c.InSync)} }
