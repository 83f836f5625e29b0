package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const cunitPassed = "Run Summary:    Type  Total    Ran Passed Failed Inactive\n" +
	"              suites      1      1    n/a      0        0\n" +
	"               tests      1      1      1      0        0\n" +
	"             asserts      9      9      9      0      n/a\n"

const cunitFailed = "  Test: Simple ...FAILED\n    1. test_read10_simple.c:42  - CU_ASSERT_EQUAL(_r,0)\n" +
	"               tests      1      1      0      1        0\n"

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name, output string
		want         verdict
	}{
		{"ALL.Unmap.Simple", cunitPassed, passed},
		{"ALL.Unmap.Simple", "Test: Simple ...    [SKIPPED] fully provisioned\n" + cunitPassed, skipped},
		{"ALL.Unmap.Simple", "[FAILED] UNMAP command failed\n" + cunitPassed, failed},
		{"ALL.Unmap.Simple", "[FAILED] TESTUNITREADY / sense key UNIT_ATTENTION(0x06)\n" + cunitPassed, passed},
		{"ALL.Unmap.Simple", "[SKIPPED] a part\n" + cunitFailed, failed},
		{"ALL.Unmap.Simple", cunitFailed, failed},
		{"ALL.Unmap.Simple", "               tests      1      0      0      0        1\n", failed},
		{"ALL.Unmap.Simple", "Failed to login\n", failed},
		{"ALL.Unmap.Simple", "", failed},
		{"ALL.iSCSIdatasn.iSCSIDataSnInvalid", "[FAILED] WRITE10 command failed with sense\n" + cunitPassed, passed},
		{"ALL.iSCSIdatasn.iSCSIDataSnInvalid", "[FAILED] something else\n" + cunitPassed, failed},
	} {
		got := judge(c.name, c.output)
		require.Equal(t, c.want, got.verdict, c.output)
		require.Equal(t, c.want == passed, got.reason == "", c.output)
	}
}
