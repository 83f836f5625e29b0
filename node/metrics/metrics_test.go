package metrics

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/node/metrics/metricstest"
	"github.com/holdfast-storage/holdfast/target"
)

// fixed is a target with one session that did something, and two PDUs to trace.
type fixed struct{}

func (fixed) Stats() target.ServerStats {
	lun := target.LUNStats{LUN: 3, Checks: 1, Conflicts: 2, Busy: 3, Aborted: 4}
	lun.Directions[target.Writes].Bytes = 4096
	lun.Directions[target.Writes].Latency.Buckets[1] = 5
	lun.Directions[target.Writes].Latency.Count = 5
	lun.Directions[target.Writes].Latency.Sum = time.Millisecond
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 3260}
	return target.ServerStats{Connections: 2, Logins: 1, MemoryFree: 1 << 20, Sessions: []target.SessionStats{{
		Target: "iqn.x:d", Initiator: "iqn.x:h", ISID: iscsi.ISID{1}, TSIH: 7, Local: addr, Remote: addr,
		Since: time.Unix(1, 0), LUNs: []target.LUNStats{lun}}}}
}

func (fixed) Trace(_ context.Context, tsih uint16, sink func(target.TracedPDU) error) error {
	if tsih != 7 {
		return target.ErrNoSession
	}
	if err := sink(target.TracedPDU{At: time.Unix(0, 0)}); err != nil {
		return err
	}
	return sink(target.TracedPDU{At: time.Unix(0, 0), Sent: true, Missed: 3})
}

func TestTargetCollector(t *testing.T) {
	problems, err := testutil.CollectAndLint(NewTarget(fixed{}))
	require.NoError(t, err)
	require.Empty(t, problems)
	labels := `initiator="iqn.x:h",isid="010000000000",lun="3",`
	require.NoError(t, testutil.CollectAndCompare(NewTarget(fixed{}), strings.NewReader(`
# HELP holdfast_target_commands_failed_total Commands that did not end well, by how they ended.
# TYPE holdfast_target_commands_failed_total counter
holdfast_target_commands_failed_total{`+labels+`status="aborted",target="iqn.x:d"} 4
holdfast_target_commands_failed_total{`+labels+`status="busy",target="iqn.x:d"} 3
holdfast_target_commands_failed_total{`+labels+`status="check_condition",target="iqn.x:d"} 1
holdfast_target_commands_failed_total{`+labels+`status="reservation_conflict",target="iqn.x:d"} 2
# HELP holdfast_target_bytes_total Data that commands of the session moved.
# TYPE holdfast_target_bytes_total counter
holdfast_target_bytes_total{direction="read",`+labels+`target="iqn.x:d"} 0
holdfast_target_bytes_total{direction="write",`+labels+`target="iqn.x:d"} 4096
`), "holdfast_target_commands_failed_total", "holdfast_target_bytes_total"))
}

func TestTargetMetrics_golden(t *testing.T) {
	metricstest.Golden(t, metricstest.Registry(t, NewTarget(fixed{})))
}

func get(t *testing.T, path string) (int, string) {
	t.Helper()
	mux := http.NewServeMux()
	require.NoError(t, Handle(mux, fixed{}))
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestHandle(t *testing.T) {
	code, text := get(t, PathMetrics)
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, text, `holdfast_target_command_duration_seconds_bucket{direction="write",`)
	require.Contains(t, text, "go_goroutines")

	code, text = get(t, PathSessions)
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "tsih=7 normal target=iqn.x:d initiator=iqn.x:h isid=010000000000 portal=127.0.0.1:3260 "+
		"remote=127.0.0.1:3260 header_digest=false data_digest=false since=1970-01-01T00:00:01Z\n", text)

	code, text = get(t, PathTrace+"?tsih=7&seconds=1")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "00:00:00.000000 <- NOP-Out itt=0x0 ttt=0x0 cmdsn=0 expstatsn=0\n"+
		"… 3 PDUs were too many to show\n00:00:00.000000 -> NOP-Out itt=0x0 ttt=0x0 cmdsn=0 expstatsn=0\n", text)

	for path, want := range map[string]int{"?tsih=8": http.StatusNotFound, "": http.StatusBadRequest,
		"?tsih=x": http.StatusBadRequest, "?tsih=7&seconds=0": http.StatusBadRequest,
		"?tsih=7&seconds=9999": http.StatusBadRequest} {
		code, _ = get(t, PathTrace+path)
		require.Equal(t, want, code, path)
	}
}
