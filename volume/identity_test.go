package volume

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTargetName_hasOneSpelling(t *testing.T) {
	leg := NewLegID()
	name := TargetName(leg, 1<<32|5)
	gotLeg, gotEpoch, err := ParseTargetName(name)
	require.NoError(t, err)
	require.Equal(t, leg, gotLeg)
	require.Equal(t, Epoch(1<<32|5), gotEpoch)
	for i := range name {
		if _, _, err := ParseTargetName(name[:i]); err == nil {
			short, epoch, _ := ParseTargetName(name[:i])
			require.Equal(t, name[:i], TargetName(short, epoch), "a shorter number is another epoch, spelt its own way")
		}
	}
	for _, bad := range []string{
		TargetName(leg, 5)[:len(TargetName(leg, 5))-1] + "05", name + " ", "x" + name, TargetName(leg, 5) + ".e6",
		"iqn.2026-11.io.holdfast:leg." + leg.String() + ".e+5",
		"iqn.2026-11.io.holdfast:leg." + leg.String() + ".e18446744073709551616",
	} {
		_, _, err := ParseTargetName(bad)
		require.Error(t, err, bad)
	}
}

func TestInitiatorName(t *testing.T) {
	a := NewAttachID()
	back, err := ParseInitiatorName(InitiatorName(a))
	require.NoError(t, err)
	require.Equal(t, a, back)
	_, err = ParseInitiatorName("iqn.1993-08.org.debian:01:abc")
	require.Error(t, err)
}

// TestChapSecret_isBoundToEverything also pins the derivation: nodes of different releases must agree.
func TestChapSecret_isBoundToEverything(t *testing.T) {
	var key NodeKey
	for i := range key {
		key[i] = byte(i)
	}
	incarnation := ClusterID{UUID{1}}
	leg, attach := LegID{UUID{2}}, AttachID{UUID{3}}
	secret := ChapSecret(key, incarnation, leg, 7, attach)
	require.Equal(t, "omfmoza-1hq9WO9fBcRD98RYdNxcHiz7Tu3TSvHKMGQ", secret)
	for _, other := range []string{
		ChapSecret(NodeKey{}, incarnation, leg, 7, attach),
		ChapSecret(key, ClusterID{}, leg, 7, attach),
		ChapSecret(key, incarnation, LegID{}, 7, attach),
		ChapSecret(key, incarnation, leg, 8, attach),
		ChapSecret(key, incarnation, leg, 7, AttachID{}),
	} {
		require.NotEqual(t, secret, other)
	}
}
