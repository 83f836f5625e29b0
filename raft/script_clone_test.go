package raft

import (
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// parseCloneOf reads what a new volume is a clone of.
func (s *script) parseCloneOf(w *words) *CloneOf {
	if w.keys["clone"] == "" {
		return nil
	}
	return &CloneOf{Source: s.vol(w.keys["clone"]), Group: s.uuid("group." + w.keys["group"]), Of: int(w.number("of"))}
}

// parseClone reads the commands of clones.
func (s *script) parseClone(c *Command, name string, w *words) bool {
	if name != "end_clones" {
		return false
	}
	// GROUP NODE CLONE:EPOCH:SOURCE_EPOCH… [frozen]
	c.EndClones = &EndClones{Frozen: w.flag("frozen"), Group: s.uuid("group." + w.next()), Node: s.node(w.next())}
	epoch := func(text string) volume.Epoch {
		n, err := strconv.ParseUint(text, 10, 64)
		require.NoError(s.t, err, w.line)
		return volume.Epoch(n)
	}
	for len(w.pos) > 0 {
		part := strings.Split(w.next(), ":")
		require.Len(s.t, part, 3, w.line)
		c.EndClones.Clones = append(c.EndClones.Clones,
			CutClone{Volume: s.vol(part[0]), Epoch: epoch(part[1]), SourceEpoch: epoch(part[2])})
	}
	return true
}
