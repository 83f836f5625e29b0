package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"

	"github.com/spf13/cobra"
)

// envProfile names a directory into which each daemon, engine and target that ends in order writes where its
// processor time went, for go tool pprof (docs/performance.md). Engines inherit it from their daemon.
const envProfile = "HOLDFAST_PROFILE_DIR"

// profiled makes a command that runs for long write a profile where the environment asks for one.
func profiled(cmd *cobra.Command) *cobra.Command {
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, list []string) (err error) {
		dir := os.Getenv(envProfile)
		if dir == "" {
			return run(cmd, list)
		}
		path := filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", cmd.Name(), os.Getpid()))
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			return fmt.Errorf("profile, as %s asks for: %w", envProfile, err)
		}
		defer func() {
			pprof.StopCPUProfile()
			err = errors.Join(err, f.Close())
		}()
		return run(cmd, list)
	}
	return cmd
}
