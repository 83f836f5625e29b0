package raft

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// flawedRows are ways in which a row can be wrong. Each is found, and freezes its own volume alone.
var flawedRows = map[string]func(*Volume){
	"phase":                func(v *Volume) { v.Phase = "undead" },
	"attached to nobody":   func(v *Volume) { v.Attach = nil },
	"detached, yet held":   func(v *Volume) { v.Phase = volume.PhaseDetached },
	"layout":               func(v *Volume) { v.Layout = volume.Layout{} },
	"size":                 func(v *Volume) { v.SizeBytes = 4095 },
	"empty in-sync list":   func(v *Volume) { v.InSync = nil },
	"stranger in sync":     func(v *Volume) { v.InSync = append(v.InSync, volume.LegID{UUID: volume.UUID{9}}) },
	"twice in sync":        func(v *Volume) { v.InSync = append(v.InSync, v.InSync[0]) },
	"leg twice":            func(v *Volume) { v.Legs = append(v.Legs, v.Legs[0]) },
	"leg without a place":  func(v *Volume) { v.Legs[0].Node = volume.NodeID{} },
	"leg's slot":           func(v *Volume) { v.Legs[0].Slot = 2 },
	"leg's state":          func(v *Volume) { v.Legs[0].State = "fine" },
	"leg not as listed":    func(v *Volume) { v.Legs[0].State = volume.LegStale },
	"leg of the future":    func(v *Volume) { v.Legs[0].FencedEpoch = 7 },
	"joined in the future": func(v *Volume) { v.Legs[0].JoinedCfg = 9 },
	"promoted stranger":    func(v *Volume) { v.Promoted = volume.LegID{UUID: volume.UUID{9}} },
}

// A bad row stops its own volume, whoever touches it first, and no other; every replica does so alike. An
// operator can let it go on from a leg, if that makes it whole.
func TestFlaw_aBadRowIsQuarantined(t *testing.T) {
	for name, spoil := range flawedRows {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			s.apply(rulesSetUp)
			s.apply(`raise_version 2
				create other C@n1/s1 D@n2/s2 layout:mirror:2
				provisioned other C
				provisioned other D`)
			web := s.state.Volumes[s.vol("web")]
			require.Empty(t, web.Flaw())
			spoil(web)
			require.NotEmpty(t, web.Flaw())
			replica := decodeState(t, mustJSON(t, s.state))

			for _, line := range []string{"begin web h2 a2 takeover", "freeze web", "freeze web", "unfreeze web",
				"fence web A e=1", "remove web A e=1 seen=2", "promote web B"} {
				cmd := s.parse(line)
				r := s.state.Apply(cmd)
				require.Equal(t, r, replica.Apply(throughLog(t, cmd)), line)
				require.Equal(t, string(mustJSON(t, s.state)), string(mustJSON(t, replica)), line)
				switch line {
				case "freeze web":
					require.Nil(t, r.Err)
				case "promote web B":
				case "unfreeze web":
					// What was wrong went with the freeze, or is wrong still.
					require.Equal(t, r.Err == nil, s.state.Volumes[s.vol("web")].Phase == volume.PhaseDetached)
				case "fence web A e=1", "remove web A e=1 seen=2":
					require.NotNil(t, r.Err, line)
				default:
					require.NotNil(t, r.Err, line)
					require.Equal(t, CodeFrozen, r.Err.Code, line)
				}
				if v := s.state.Volumes[s.vol("web")]; line == "freeze web" {
					require.Equal(t, volume.PhaseFrozen, v.Phase)
					require.Contains(t, v.FrozenWhy, "cannot be")
				}
			}
			if v := s.state.Volumes[s.vol("web")]; v.Phase != volume.PhaseFrozen {
				require.Empty(t, v.Flaw(), "only a row that is whole again goes on")
			}
			require.Contains(t, s.apply("begin other h1 b1"), "ok e1")
		})
	}
}

func TestFreezeVolume_leavesASoundOneAlone(t *testing.T) {
	s := newScript(t)
	s.apply(rulesSetUp)
	before := mustJSON(t, s.state)
	require.Contains(t, s.apply("freeze web"), "ok")
	require.Equal(t, string(before), string(mustJSON(t, s.state)))
}
