package volume

// The identities of the product. Each is a UUID of its own type, so that one is never taken for
// another; none is ever reused. The zero value means "none".
type (
	// ID names a volume (a set) for ever; its human name may be given to another later.
	ID struct{ UUID }
	// LegID names one leg; it is fresh at each provision, so that an emptied or replaced leg is
	// never taken for the one that was there.
	LegID struct{ UUID }
	// AttachID names one attachment: one engine process for one epoch.
	AttachID struct{ UUID }
	// NodeID names a node; a machine that is installed anew is a new node, whatever its name.
	NodeID struct{ UUID }
	// StoreID names one store (a directory on a disk) of a node; it is bound to that node.
	StoreID struct{ UUID }
	// ClusterID names the cluster. Its incarnation changes with every restore of the coordinators.
	ClusterID struct{ UUID }
)

// NewID returns a fresh volume identity.
func NewID() ID { return ID{NewUUID()} }

// NewLegID returns a fresh leg identity.
func NewLegID() LegID { return LegID{NewUUID()} }

// NewAttachID returns a fresh attachment identity.
func NewAttachID() AttachID { return AttachID{NewUUID()} }

// NewNodeID returns a fresh node identity.
func NewNodeID() NodeID { return NodeID{NewUUID()} }

// NewStoreID returns a fresh store identity.
func NewStoreID() StoreID { return StoreID{NewUUID()} }

// NewClusterID returns a fresh cluster identity or incarnation.
func NewClusterID() ClusterID { return ClusterID{NewUUID()} }
