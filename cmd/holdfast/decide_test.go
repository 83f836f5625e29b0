package main

import (
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
)

func TestGivenUp(t *testing.T) {
	v := api.Volume{Name: "web1", Legs: []api.Leg{{ID: "0b9e", Node: "n1"}, {ID: "0b77", Node: "n2"}}}
	for _, leg := range []string{"n1", "0b9"} {
		text, err := givenUp(v, leg)
		require.NoError(t, err)
		require.Contains(t, text, "volume web1 would go on from leg 0b9e on n1")
		require.Contains(t, text, "given up for good would be what is on leg 0b77 on n2")
	}
	for _, leg := range []string{"n9", "0b"} {
		_, err := givenUp(v, leg)
		require.ErrorContains(t, err, "not one")
	}
}

// TestHelp_switchesTakeNoArgument: words in backquotes become the name of an argument in --help.
func TestHelp_switchesTakeNoArgument(t *testing.T) {
	var look func(*cobra.Command)
	look = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() == "bool" {
				name, _ := pflag.UnquoteUsage(f)
				require.Empty(t, name, "%s --%s", cmd.CommandPath(), f.Name)
			}
		})
		for _, sub := range cmd.Commands() {
			look(sub)
		}
	}
	look(newRoot())
}
