package node

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
)

// A guest that is quiet for long keeps its console: who waits for its next word is not taken for somebody who does not
// listen.
func TestConsoleLines_aQuietGuestKeepsItsConsole(t *testing.T) {
	const patience = 50 * time.Millisecond
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			lines := consoleLines{w, patience}
			if lines.write(api.ConsoleOutput{Host: "h1"}) == nil {
				<-time.After(4 * patience) // the guest is quiet
				_ = lines.write(api.ConsoleOutput{Data: []byte("login: ")})
			}
		}))
		s.EnableHTTP2 = protocol == "HTTP/2.0"
		s.StartTLS()
		t.Cleanup(s.Close)
		res, err := s.Client().Get(s.URL)
		require.NoError(t, err)
		require.Equal(t, protocol, res.Proto)
		var said []string
		in := bufio.NewScanner(res.Body)
		for in.Scan() {
			said = append(said, in.Text())
		}
		require.NoError(t, in.Err(), protocol)
		require.NoError(t, res.Body.Close())
		require.Len(t, said, 2, strings.Join(said, "; "))
	}
}
