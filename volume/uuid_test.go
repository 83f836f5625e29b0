package volume

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUUID_textFormRoundTrips(t *testing.T) {
	u := NewUUID()
	back, err := ParseUUID(u.String())
	require.NoError(t, err)
	require.Equal(t, u, back)
	require.Equal(t, byte(0x40), u[6]&0xf0, "version 4")
	require.Equal(t, byte(0x80), u[8]&0xc0, "RFC 9562 variant")
	require.NotEqual(t, u, NewUUID())
}

func TestParseUUID_refusesEveryTruncationAndOddity(t *testing.T) {
	good := NewUUID().String()
	for i := range good {
		_, err := ParseUUID(good[:i])
		require.Error(t, err, good[:i])
	}
	for _, bad := range []string{good + "0", "g" + good[1:], good[:8] + "0" + good[9:]} {
		_, err := ParseUUID(bad)
		require.Error(t, err, bad)
	}
}

func TestIDs_areMapKeysAndTextInJSON(t *testing.T) {
	leg := NewLegID()
	data, err := json.Marshal(map[LegID]LegID{leg: {}})
	require.NoError(t, err)
	require.JSONEq(t, `{"`+leg.String()+`":""}`, string(data))
	var back map[LegID]LegID
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, map[LegID]LegID{leg: {}}, back)
}
