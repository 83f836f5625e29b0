package domain

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/internal/fakexl"
)

// A guest that was defined before there was a salt keeps its UUID for ever; the literal is what the release before
// made.
func TestUUID_isOfTheClusterAndOfGuestsFromBeforeWhatItWas(t *testing.T) {
	require.Equal(t, "4ac26c16-569a-895d-9ab2-3cbd44ea886c", uuidOf("", "web1"))
	a, b := uuidOf("cluster-a", "web1"), uuidOf("cluster-b", "web1")
	require.NotEqual(t, a, b)
	require.NotEqual(t, uuidOf("", "web1"), a)
	require.Equal(t, a, uuidOf("cluster-a", "web1"), "wherever and whenever")
	require.True(t, isUUID(a))
	for _, driver := range []string{DriverXL, DriverLibvirt} {
		d := guest.Definition{Name: "web1", Driver: driver, Salt: "cluster-a", Machine: guest.Machine{
			Boot: &guest.Boot{Kernel: "/k"}}}
		var got string
		if driver == DriverXL {
			s, err := xlSettingsOf(d)
			require.NoError(t, err)
			got = s.UUID
		} else {
			s, err := libvirtSettingsOf(d)
			require.NoError(t, err)
			got = s.UUID
		}
		require.Equal(t, a, got, driver)
	}
}

// What runs is known by the UUID that it was started with: its record has the salt, or none if it is from before.
func TestUUID_ofAGuestThatRunsIsThatOfItsRecord(t *testing.T) {
	for _, salt := range []string{"", "cluster-a"} {
		x := fakexl.New(t)
		o := xlOrder(t, x)
		o.Salt = salt
		first, err := NewXL(Options{}).Start(t.Context(), o)
		require.NoError(t, err)
		require.Equal(t, []string{"web1 " + uuidOf(salt, "web1") + " -b----"}, x.Domains())
		first.Release()
		p, err := NewXL(Options{}).Adopt(t.Context(), o.Dir)
		require.NoError(t, err)
		require.NoError(t, p.Stop(t.Context(), patience))
		require.Equal(t, PhaseStopped, p.State().Phase, "it was found, and asked to end")
		require.Empty(t, x.Domains())
	}
}
