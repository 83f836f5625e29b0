package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		out    string // part of what is printed
	}{
		{"complete", []string{"-class", "sync", "-maxcfg", "2", "-table", "16"}, exitOK, "OK: no violation in all"},
		{"violation", []string{"-break", "readDuringW", "-table", "16"}, exitViolation, "h1 WRITE 1"},
		{"in the bounds given", []string{"-break", "noRecon", "-keep", "-epochs", "1", "-cuts", "0", "-table", "18"},
			exitOK, "-epochs 1"},
		{"table full", []string{"-table", "14"}, exitFailed, "STOPPED"},
		{"unknown rule", []string{"-break", "nonsense"}, exitFailed, "noFence"},
		{"bad bounds", []string{"-legs", "9"}, exitFailed, "use 1 to 3"},
		{"bad class", []string{"-class", "fast"}, exitFailed, "use flush or sync"},
		{"argument", []string{"now"}, exitFailed, "all arguments are flags"},
		{"help", []string{"-h"}, exitOK, "-duplicates"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			require.Equal(t, tc.status, run(t.Context(), tc.args, &out, &out), "%s", &out)
			require.Contains(t, out.String(), tc.out)
		})
	}
}
