package target

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// Whoever reaches the port can be refused as often as he likes: the log, which may lie in memory, does not grow
// with it.
func TestHostile_refusedLoginsDoNotFillTheLog(t *testing.T) {
	for name, pairs := range map[string][]iscsi.KeyValue{
		"refused":   kv("InitiatorName", testInitiator, "TargetName", testTarget+".old"),
		"discovery": kv("InitiatorName", testInitiator, "SessionType", "Discovery"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				h := newHarness(t, &testAdmission{}, func(o *Options) {
					o.Logger = slog.New(slog.NewTextHandler(&log, nil))
				})
				for range 1000 {
					p := h.dial()
					p.ask(true, ops, ffp, pairs)
					require.NoError(t, p.raw.Close())
					synctest.Wait()
				}
				require.LessOrEqual(t, strings.Count(log.String(), "\n"), strangerLines)
				time.Sleep(2 * strangerPause) // virtual
				p := h.dial()
				p.ask(true, ops, ffp, pairs)
				require.NoError(t, p.raw.Close())
				synctest.Wait()
				require.Contains(t, log.String(), "left_out_before=")
				p = h.dial().login().ready()
				require.Equal(t, scsi.Good, p.status(p.testUnitReady()))
				require.Contains(t, log.String(), "discovery=false", "a session of a guest is always told")
				h.stop()
			})
		})
	}
}
