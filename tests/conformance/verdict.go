package conformance

import (
	"regexp"
	"strings"
)

// verdict is how a test ended.
type verdict string

// The verdicts, as they are printed.
const (
	passed  verdict = "passed"
	skipped verdict = "skipped"
	failed  verdict = "failed"
	hung    verdict = "hung"
)

// outcome is a verdict and what the tool said of it.
type outcome struct {
	verdict verdict
	reason  string
}

var (
	// summaryLine is CUnit's, of the tests: total, ran, passed, failed.
	summaryLine = regexp.MustCompile(`(?m)^\s*tests\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\b`)
	// attentionLine is of a unit attention, which the tool calls a failure of the command and then waits
	// out; where a test must not see one, it asserts that.
	attentionLine = regexp.MustCompile(`\[FAILED\].*UNIT[_ ]ATTENTION\(`)
	assertLine    = regexp.MustCompile(`^\s*\d+\. \S+\.c:\d+`)
)

// noWordOfTheTest reports whether a line that says FAILED is not about what the test asserts. One test asks
// the tool's own commands for success and asserts that there was none; another leaves RESERVE (6) in place,
// which the tool then meets when it looks for registrations.
func noWordOfTheTest(name, line string) bool {
	prefix, ok := map[string]string{
		"ALL.iSCSIdatasn.iSCSIDataSnInvalid": "[FAILED] WRITE10 command failed with",
		"ALL.Sanitize.Reservations":          "[FAILED] PRIN command: failed with sense. RESERVATION CONFLICT",
	}[name]
	return ok && strings.HasPrefix(line, prefix)
}

// judge reads what the tool printed for one test. Nothing passes without CUnit's word for it. A test
// that skips a part of itself counts as skipped.
func judge(name, output string) outcome {
	var skips, failures []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		switch {
		case attentionLine.MatchString(line):
		case noWordOfTheTest(name, line):
		case strings.Contains(line, "[SKIPPED]"):
			skips = append(skips, line)
		case strings.Contains(line, "[FAILED]"), assertLine.MatchString(line):
			failures = append(failures, line)
		}
	}
	summary := summaryLine.FindStringSubmatch(output)
	switch {
	case summary == nil:
		return outcome{failed, "no summary: " + lastLine(output)}
	case len(failures) > 0:
		return outcome{failed, strings.Join(failures, "; ")}
	case summary[2] != "1" || summary[3] != "1" || summary[4] != "0":
		return outcome{failed, strings.TrimSpace(summary[0])}
	case len(skips) > 0:
		return outcome{skipped, skips[0]}
	}
	return outcome{verdict: passed}
}

func lastLine(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return lines[len(lines)-1]
}
