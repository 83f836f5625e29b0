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
	} {
		got, err := ParseURL(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, text, want.String())
	}
	for _, text := range []string{"", "nbd://host/root", "nbd+unix:///root", "nbd+unix://host/root?socket=/s", "%zz"} {
		_, err := ParseURL(text)
		require.ErrorContains(t, err, "NBD address", text)
	}
}
