package image

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// When a blob was last right is known to the next daemon, by what was read as by what was written.
func TestChecked_outlivesTheDaemon(t *testing.T) {
	s := storeOf(t)
	data, d := content(1, 1000)
	other, otherDigest := content(2, 1000)
	began := time.Now().Add(-time.Second)
	put(t, s, data, d)
	put(t, s, other, otherDigest)
	first := s.checked.last(d)
	require.True(t, first.After(began))
	s = reopen(t, s)
	require.True(t, first.Equal(s.checked.last(d)))
	require.ErrorIs(t, s.sound(d), ErrUnverified, "this daemon has not read it all the same")
	require.NoError(t, s.verify(t.Context(), d, nil))
	again := s.checked.last(d)
	require.True(t, again.After(first))
	require.NoError(t, s.remove(otherDigest, nobodyWants))
	s = reopen(t, s)
	require.True(t, again.Equal(s.checked.last(d)))
	require.Zero(t, s.checked.last(otherDigest))
}

// What the file says is believed of blobs that are here, and not of times to come.
func TestChecked_whatCannotBe(t *testing.T) {
	data, d := content(1, 1000)
	_, gone := content(2, 1)
	later := time.Now().Add(time.Hour).Format(time.RFC3339)
	for text, known := range map[string]bool{
		"": false, "{": false, "null": false, `{"` + string(d) + `":"` + later + `"}`: false,
		`{"` + string(d) + `":"2026-01-02T03:04:05Z","` + string(gone) + `":"2026-01-02T03:04:05Z"}`: true,
	} {
		s := storeOf(t)
		put(t, s, data, d)
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, checkedName), []byte(text), 0o600))
		half := filepath.Join(s.dir, "."+checkedName+".123")
		require.NoError(t, os.WriteFile(half, []byte(text), 0o600))
		s = reopen(t, s)
		require.NoFileExists(t, half)
		require.Equal(t, known, !s.checked.last(d).IsZero(), text)
		require.Zero(t, s.checked.last(gone))
	}
}

// Of what matters alike the one is read first that was not for longest; what matters more comes first whenever.
func TestDecide_theOneNotCheckedForLongest(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	blob := func(name string, s step, alike bool, ago time.Duration) standing {
		o := standing{order: peer.ImageOrder{Digest: volume.Digest(name), Has: true, Alike: alike}, here: true,
			checked: now.Add(-ago)}
		switch s {
		case stepCheck:
			o.verified = now.Add(-2 * checkEvery)
		case stepPull:
			o.here, o.order.Has, o.order.From, o.checked = false, false, []peer.Peer{{}}, time.Time{}
		}
		return o
	}
	for _, c := range []struct {
		why    string
		orders []standing
		want   volume.Digest
	}{
		{"alike", []standing{blob("a", stepVerify, false, 1), blob("b", stepVerify, true, 3),
			blob("c", stepVerify, true, 2)}, "b"},
		{"equal times", []standing{blob("a", stepVerify, false, 1), blob("b", stepVerify, true, 1)}, "a"},
		{"a guest waits for the first", []standing{blob("a", stepVerify, false, 1), blob("b", stepVerify, false, 3),
			blob("c", stepVerify, true, 4)}, "a"},
		{"what is here comes before what is not", []standing{blob("a", stepPull, false, 0),
			blob("b", stepVerify, true, 1)}, "b"},
		{"unless that matters more", []standing{blob("a", stepPull, false, 0), blob("b", stepVerify, false, 1)}, "a"},
		{"checks are in no hurry: whatever they are of", []standing{blob("a", stepCheck, false, 1),
			blob("b", stepCheck, false, 3), blob("c", stepCheck, false, 2)}, "b"},
		{"and come last", []standing{blob("a", stepCheck, false, 9), blob("b", stepVerify, false, 1)}, "b"},
	} {
		require.Equal(t, c.want, decide(c.orders, nil, now).order.Digest, c.why)
	}
}
