package main

import (
	"os"
	"runtime"

	"github.com/spf13/cobra"
)

// processorsMin is how many of the runtime's processors (GOMAXPROCS) a server has at least, however few the machine
// has: those whose readers wait in the kernel stand still, and the others must have theirs (netio.Waits).
const processorsMin = 8

// server gives a command that runs for long the processors that it needs, unless the environment says how many.
func server(cmd *cobra.Command) *cobra.Command {
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < processorsMin {
			runtime.GOMAXPROCS(processorsMin)
		}
		return run(cmd, list)
	}
	return profiled(cmd)
}
