package site

import (
	"time"

	"github.com/holdfast-storage/holdfast/domain/definition"
	"github.com/holdfast-storage/holdfast/volume"
)

// Site is what a tree says.
type Site struct {
	Cluster Cluster
	Images  []Image  // every version that there is to be
	Servers []Server // by name
	Guests  []Guest  // by name
}

// Cluster is what every node shares.
type Cluster struct {
	Name          string // of the cluster that the tree is of: it is compared, and never changed
	OverProvision int    // percent of what a store can hold that may be promised to legs
	ReplaceAfter  After  // of volumes that do not say it themselves
}

// OverProvisionDefault is what may be promised of a store in a tree that does not say it.
const OverProvisionDefault = 100

// Image is one version of an image that guests boot from.
type Image struct {
	Name    string
	Version int // from 1
	Digest  volume.Digest
	File    string // on the machine that reads the tree, to add it from; empty if it is added by hand
	Comment string // of the version when it is added
}

// Server is one physical machine.
type Server struct {
	Name    string
	Zone    string // where it stands; empty is not known
	Rack    string
	Machine Machine
}

// Machine is what the program of a server has to know before there is a cluster to ask. It is for whoever makes the
// machine a node, and nothing of it is compared with a cluster.
type Machine struct {
	Roles          []string // some of coordinator, storage, host
	Address        string   // IP address or name, for what Listen leaves open
	ListenAPI      string   // host:port
	ListenRaft     string
	ListenISCSI    string
	StorageNetwork string // CIDR; empty on loopback alone
	Stores         []Store
	ConfigDir      string
	DataDir        string
	RunDir         string
	Timing         Timing
}

// Store is a directory for legs.
type Store struct {
	Name string
	Path string
}

// Timing is that of node.yaml; zero is the default.
type Timing struct {
	Heartbeat time.Duration
	DeadAfter time.Duration
	TRead     time.Duration
}

// Guest is one virtual server: its volumes and, if Holdfast is to run it, its definition.
type Guest struct {
	Name       string
	State      State
	Home       string                 // the server whose directory has its definition; empty without one
	Definition *definition.Definition // nil if it is plugged in by hand
	Volumes    []Volume               // in the order of the file
}

// State is what a guest is to be.
type State string

// The states that a tree can ask for.
const (
	Running State = "running" // so is one that says nothing
	Stopped State = "stopped"
	AsItIs  State = "as_it_is" // whoever starts and stops it by hand is left alone
)

// Volume is one volume of a guest. All but ScrubEvery, ReplaceAfter, Limit and Exports holds for its whole life.
type Volume struct {
	Name          string
	SizeBytes     int64
	Layout        volume.Layout
	Durability    volume.Durability
	UnflushedLoss volume.UnflushedLoss
	Spread        string        // zone, rack, node; empty is as wide as can be had
	ApartFrom     []string      // volumes with whose legs its own share no node; it holds both ways
	LegsOn        []string      // nodes for its legs when it is made; later they may be elsewhere
	ScrubEvery    time.Duration // zero is never
	ReplaceAfter  After
	Limit         volume.Limit
	Exports       []Export // beside the unix socket; of each kind one at most
}

// Export is one way to reach a volume beside the unix socket of its host.
type Export struct {
	Kind    volume.ExportKind
	Address string // empty is an address that the cluster chooses
	Open    bool   // without a secret, on loopback
}

// After is a time after which a leg that cannot be reached is replaced. The zero value is the default: of a volume the
// cluster's, of the cluster ten minutes.
type After struct {
	Never bool
	Time  time.Duration
}
