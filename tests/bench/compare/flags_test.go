package compare

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseFlags(t *testing.T) {
	f, err := ParseFlags("bench", []string{"-holdfast", "hf", "-dir", "d", "-only", "128k", "-seconds", "5"})
	require.NoError(t, err)
	require.Equal(t, Flags{Program: "hf", Dir: "d", Rounds: 3, Load: Load{NBD: "fio", Seconds: 5, Size: "200m"},
		Jobs: []Job{{"128k read, depth 8", "read", "128k", 8}, {"128k write, depth 8", "write", "128k", 8}}}, f)
	f, err = ParseFlags("bench", []string{"-holdfast", "hf", "-dir", "d"})
	require.NoError(t, err)
	require.Equal(t, Jobs(), f.Jobs)
}

func TestParseFlags_refuses(t *testing.T) {
	for want, args := range map[string][]string{
		"-holdfast and -dir are needed":                   {"-dir", "d"},
		`"now": there are flags only`:                     {"-holdfast", "hf", "-dir", "d", "now"},
		"-rounds 0 -seconds 3: want one or more of each":  {"-holdfast", "hf", "-dir", "d", "-rounds", "0"},
		"-rounds 3 -seconds -1: want one or more of each": {"-holdfast", "hf", "-dir", "d", "-seconds", "-1"},
		`-only "tape": no job has that in its name`:       {"-holdfast", "hf", "-dir", "d", "-only", "tape"},
		"flag provided but not defined: -fast":            {"-fast"},
	} {
		_, err := ParseFlags("bench", args)
		require.EqualError(t, err, want)
	}
	_, err := ParseFlags("bench", []string{"-help"})
	require.ErrorIs(t, err, flag.ErrHelp)
}
