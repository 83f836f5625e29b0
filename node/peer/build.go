package peer

import "runtime/debug"

// Build names the build of this program, to be compared with that of another process: its version and, where
// it was built from a checkout, the revision.
func Build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	build := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			build += " " + s.Value[:min(12, len(s.Value))]
		}
	}
	return build
}
