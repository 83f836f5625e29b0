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
		{"complete", []string{"-cuts", "0", "-flushes", "0", "-table", "14"}, exitOK,
			"OK: no violation in all 1232 states"},
		{"violation", []string{"-break", "inPlace", "-table", "16"}, exitViolation, "h1 WRITE 1"},
		{"in the bounds given", []string{"-break", "ignoreLossy", "-keep", "-cuts", "0", "-flushes", "0", "-table",
			"16"}, exitOK, "-cuts 0"},
		{"table full", []string{"-table", "14", "-writes", "2"}, exitFailed, "STOPPED"},
		{"unknown rule", []string{"-break", "nonsense"}, exitFailed, "commitLocal"},
		{"bad bounds", []string{"-k", "9"}, exitFailed, "use 2 to 3"},
		{"argument", []string{"now"}, exitFailed, "all arguments are flags"},
		{"help", []string{"-h"}, exitOK, "-concurrent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			require.Equal(t, tc.status, run(t.Context(), tc.args, &out, &out), "%s", &out)
			require.Contains(t, out.String(), tc.out)
		})
	}
}
