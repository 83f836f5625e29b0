package image

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

func TestDecideFor_everyCase(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	from := []peer.Peer{{API: "x"}}
	for _, here := range []bool{false, true} {
		for _, verified := range []time.Time{{}, now.Add(-time.Minute), now.Add(-checkEvery)} {
			for _, has := range []bool{false, true} {
				for _, giver := range []bool{false, true} {
					s := standing{here: here, verified: verified, order: peer.ImageOrder{Has: has}}
					if giver {
						s.order.From = from
					}
					want := stepNone
					switch {
					case here && verified.IsZero():
						want = stepVerify
					case !here && has:
						want = stepLost
					case !here && giver:
						want = stepPull
					case here && !has:
						want = stepHeld
					case here && now.Sub(verified) == checkEvery:
						want = stepCheck
					}
					require.Equal(t, want, decideFor(s, now), "%+v", s)
					s.retry = now.Add(1)
					require.Equal(t, stepNone, decideFor(s, now), "not before its time")
				}
			}
		}
	}
}

func TestDecide_theMostUrgentFirst(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	blob := func(name string, s step) standing {
		o := standing{order: peer.ImageOrder{Digest: volume.Digest(name), Has: true}, here: true, verified: now}
		switch s {
		case stepVerify:
			o.verified = time.Time{}
		case stepPull:
			o.here, o.order.Has, o.order.From = false, false, []peer.Peer{{}}
		case stepHeld:
			o.order.Has = false
		case stepLost:
			o.here = false
		case stepCheck:
			o.verified = now.Add(-2 * checkEvery)
		}
		return o
	}
	old := map[volume.Digest]time.Time{"x": now.Add(-removeAfter)}
	for _, c := range []struct {
		orders   []standing
		unwanted map[volume.Digest]time.Time
		want     step
		of       volume.Digest
	}{
		{nil, nil, stepNone, ""},
		{[]standing{blob("a", stepNone)}, nil, stepNone, ""},
		{[]standing{blob("a", stepPull), blob("b", stepPull)}, nil, stepPull, "a"},
		{[]standing{blob("a", stepPull), blob("b", stepVerify)}, nil, stepPull, "a"},
		{[]standing{blob("a", stepVerify), blob("b", stepPull)}, nil, stepVerify, "a"},
		{[]standing{blob("a", stepPull), blob("b", stepHeld)}, nil, stepHeld, "b"},
		{[]standing{blob("a", stepCheck), blob("b", stepPull)}, nil, stepPull, "b"},
		{[]standing{blob("a", stepCheck), blob("b", stepLost)}, nil, stepLost, "b"},
		{[]standing{blob("a", stepCheck)}, old, stepCheck, "a"},
		{[]standing{blob("a", stepNone)}, old, stepRemove, "x"},
		{nil, map[volume.Digest]time.Time{"x": now.Add(1 - removeAfter)}, stepNone, ""},
	} {
		got := decide(c.orders, c.unwanted, now)
		require.Equal(t, c.want, got.step, "%+v", c)
		require.Equal(t, c.of, got.order.Digest)
	}
}
