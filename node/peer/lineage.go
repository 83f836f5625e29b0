package peer

import "github.com/holdfast-storage/holdfast/volume"

// Lineage says which restore of a cluster a coordinator, or a node, follows. A restore makes a new
// incarnation and a higher generation. Nodes follow the highest generation that a coordinator ever told them,
// and no lower one: coordinators of before that still run, or come back from an old disk, have no say any
// more, whatever they repeat.
type Lineage struct {
	Incarnation volume.ClusterID `json:"incarnation,omitzero"`
	Generation  uint32           `json:"restore_gen,omitempty"`
}

// Heard is what a lineage that is heard is to one that is followed.
type Heard int

// What a lineage that is heard can be.
const (
	HeardSame     Heard = iota + 1 // the one that is followed
	HeardNewer                     // one that was restored since: to be followed from now on
	HeardOutdated                  // one from before a restore: it has no say
	HeardRival                     // another restore of the same generation: one of the two is a mistake
	HeardNothing                   // the sender does not say
)

// Judge returns what a lineage is to the one that is followed, which is zero for a node that never heard of
// any.
func (l Lineage) Judge(heard Lineage) Heard {
	switch {
	case heard.Incarnation.IsZero():
		return HeardNothing
	case l.Incarnation.IsZero() || heard.Generation > l.Generation:
		return HeardNewer
	case heard.Incarnation == l.Incarnation:
		return HeardSame // perhaps from one that lags
	case heard.Generation < l.Generation:
		return HeardOutdated
	}
	return HeardRival
}
