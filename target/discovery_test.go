package target

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPortalAddresses(t *testing.T) {
	addr := func(text string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", text)
		require.NoError(t, err)
		return a
	}
	for _, c := range []struct {
		local   string
		portals []string
		want    []string
	}{
		{"10.0.0.1:3260", []string{"10.0.0.1:3260"}, []string{"10.0.0.1:3260,1"}},
		{"10.0.0.2:3260", []string{"10.0.0.1:3260", "10.0.0.2:3260", "[fd00::1]:3260"},
			[]string{"10.0.0.2:3260,1", "10.0.0.1:3260,1", "[fd00::1]:3260,1"}},
		{"10.0.0.1:3260", []string{"[::]:3260"}, []string{"10.0.0.1:3260,1"}},
		{"10.0.0.1:3260", []string{"0.0.0.0:3260", "0.0.0.0:3261"}, []string{"10.0.0.1:3260,1", "10.0.0.1:3261,1"}},
		{"[fd00::1]:3260", []string{"0.0.0.0:3261", "[::]:3260"}, []string{"[fd00::1]:3260,1"}},
		{"10.0.0.1:3260", []string{"127.0.0.1:3260", "10.0.0.1:3260"}, []string{"10.0.0.1:3260,1"}},
		{"127.0.0.1:3260", []string{"127.0.0.1:3260", "127.0.0.1:3261"},
			[]string{"127.0.0.1:3260,1", "127.0.0.1:3261,1"}},
		{"[fe80::1%lo]:3260", []string{"[fe80::1%lo]:3260"}, []string{"[fe80::1]:3260,1"}},
	} {
		var portals []net.Addr
		for _, p := range c.portals {
			portals = append(portals, addr(p))
		}
		require.Equal(t, c.want, portalAddresses(addr(c.local), portals), "%+v", c)
	}
}
