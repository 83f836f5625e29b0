package nbd

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestURL(t *testing.T) {
	for text, want := range map[string]Address{
		"nbd+unix:///root?socket=/run/holdfast/v/nbd.sock": {Socket: "/run/holdfast/v/nbd.sock", Name: "root"},
		"nbd+unix:///?socket=/tmp/s":                       {Socket: "/tmp/s"},
		"nbd+unix:///a%20b?socket=/tmp/x%26y":              {Socket: "/tmp/x&y", Name: "a b"},
		"nbds://h1:10809/root":                             {Host: "h1:10809", Name: "root"},
		"nbds://[::1]:7/a@b":                               {Host: "[::1]:7", Name: "a@b"},
		"nbds://192.0.2.1:7/?tls-certificates=/etc/h/c":    {Host: "192.0.2.1:7", Certificates: "/etc/h/c"},
	} {
		got, err := ParseURL(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, text, want.String())
	}
	for _, text := range []string{"", "nbd://host/root", "nbd+unix:///root", "nbd+unix://host/root?socket=/s", "%zz",
		"nbds:///root", "nbds://host/root?socket=/s", "nbds://user@host/root", "nbds+unix:///root?socket=/s"} {
		_, err := ParseURL(text)
		require.ErrorContains(t, err, "NBD address", text)
	}
	a, err := ParseURL("nbds://host/root")
	require.NoError(t, err)
	require.Equal(t, Address{Host: "host:10809", Name: "root"}, a)
}
