package host

import "path/filepath"

// The variables by which processes of a node are found again.
const (
	// EnvRunDir is in the environment of a node's daemon and of everything that it starts: the
	// node's run directory.
	EnvRunDir = "HOLDFAST_RUN_DIR"
	// EnvEngineDir is in the environment of an engine: its own directory.
	EnvEngineDir = "HOLDFAST_ENGINE_DIR"
)

// EngineDir returns the directory of a volume's engine: control.sock, nbd.sock and engine.log.
func EngineDir(runDir, volumeName string) string { return filepath.Join(runDir, "v", volumeName) }

// DomainDir returns the directory of a guest: its record and log.
func DomainDir(runDir, domainName string) string { return filepath.Join(runDir, "d", domainName) }

// spentFile holds the attachments that engines were started for.
func spentFile(dataDir string) string { return filepath.Join(dataDir, "attachments.json") }
