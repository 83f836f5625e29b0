package target

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/scsi"
)

// A discovery session proves nothing. However many there are, and however alive, they are few at a time and keep nobody
// who has a secret from logging in.
func TestHostile_discoverySessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		adm := &testAdmission{creds: Credentials{User: "guest", Secret: "twelve-chars-16x"}}
		h := newHarness(t, adm, func(o *Options) { o.MaxLogins, o.MaxConnections = 16, 64 })
		for i := range 1000 {
			p := h.dial()
			p.isid[5] = byte(i)
			resp, _ := p.ask(true, ops, ffp, kv("InitiatorName", testInitiator, "SessionType", "Discovery"))
			require.Equal(t, iscsi.LoginSuccess, resp.Status)
			p.ping()
		}
		synctest.Wait()
		h.server.mu.Lock()
		require.LessOrEqual(t, len(h.server.conns), 17)
		h.server.mu.Unlock()
		adm.creds = Credentials{}
		p := h.dial().login().ready()
		require.Equal(t, scsi.Good, p.status(p.testUnitReady()))
		h.stop()
	})
}
