package system

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestNotBuilt_isRefused asks for what the safety protocol speaks of and this release does not do. Each
// is refused as unknown, before anything is touched; none is taken for something else.
func TestNotBuilt_isRefused(t *testing.T) {
	for _, line := range []string{
		"volume snapshot web1",
		"volume resize web1",
		"volume grow web1",
	} {
		t.Run(line, func(t *testing.T) {
			r := run(t, time.Minute, nil, os.Getenv(binaryEnv), strings.Fields(line)...)
			require.Equal(t, 2, r.code, r.stderr)
			require.Contains(t, r.stderr, strings.Fields(line)[1])
		})
	}
}
