package node

import (
	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/node/engine"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/node/storage"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// FormatVersion is one format or protocol that this program knows, with the versions that it reads and the
// newest that it writes. docs/versions.md says what is done about others.
type FormatVersion struct {
	Name   string `json:"name"`
	Oldest int    `json:"oldest"`
	Newest int    `json:"newest"`
}

// Versions lists every format and protocol with a version of its own.
func Versions() []FormatVersion {
	one := func(name string, version int) FormatVersion { return FormatVersion{name, version, version} }
	return []FormatVersion{
		{"cluster (raft commands and state)", raft.VersionFirst, raft.VersionLatest},
		one("api", api.VersionNumber),
		one("peer protocol", peer.Version),
		one("in-band commands", inband.Version),
		one("engine start", engine.StartVersion),
		one("engine control", engine.ControlVersion),
		one("store", leg.StoreFormat),
		{"label", volume.LabelVersionMirror, volume.LabelVersionParity},
		one("regions", leg.RegionsVersion),
		one("checksums", leg.ChecksumsVersion),
		one("witness", leg.WitnessVersion),
		{"journal", leg.JournalFirst, leg.JournalVersion},
		one("record of stores", storage.RecordFormat),
		one("data directory", dataFormat),
	}
}
