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
		{"ALL.Read10.Simple", cunitPassed, passed},
		{"ALL.Read10.Simple", preamble + "\n" + cunitPassed + preamble + "\n", passed},
		{"ALL.PrinReadKeys.Simple", preamble + "\n" + cunitPassed, skipped},
		{"ALL.Unmap.Simple", "Test: Simple ...    [SKIPPED] fully provisioned\n" + cunitPassed, skipped},
		{"ALL.Unmap.Simple", "[FAILED] UNMAP command failed\n" + cunitPassed, failed},
		{"ALL.Unmap.Simple", "[FAILED] TESTUNITREADY / sense key UNIT_ATTENTION(0x06)\n" + cunitPassed, passed},
		{"ALL.Unmap.Simple", "[SKIPPED] a part\n" + cunitFailed, failed},
		{"ALL.Read10.Simple", cunitFailed, failed},
		{"ALL.Read10.Simple", "               tests      1      0      0      0        1\n", failed},
		{"ALL.Read10.Simple", "Failed to login\n", failed},
		{"ALL.Read10.Simple", "", failed},
	} {
		got := judge(c.name, c.output)
		require.Equal(t, c.want, got.verdict, c.output)
		require.Equal(t, c.want == passed, got.reason == "", c.output)
	}
}
