package static

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/scsi"
	"github.com/holdfast-storage/holdfast/target"
)

func TestNewAdmission_refuses(t *testing.T) {
	units := map[uint64]scsi.LogicalUnit{0: scsi.NoLUN{}}
	with := func(c target.Credentials) []Target {
		return []Target{{Name: testName, LUNs: units, Credentials: c}}
	}
	for want, targets := range map[string][]Target{
		"no target to serve": nil,
		"given twice":        {{Name: testName, LUNs: units}, {Name: testName, LUNs: units}},
		"want a name":        {{Name: "disk", LUNs: units}},
		"no logical unit":    {{Name: testName}},
		"LUN 16384":          {{Name: testName, LUNs: map[uint64]scsi.LogicalUnit{16384: scsi.NoLUN{}}}},
		"needs a secret":     with(target.Credentials{User: "u"}),
		"secret of the initiator": with(target.Credentials{
			MutualUser: "u", MutualSecret: "s"}),
		"directions must differ": with(target.Credentials{
			User: "u", Secret: "s", MutualUser: "v", MutualSecret: "s"}),
	} {
		_, err := NewAdmission(targets...)
		require.ErrorContains(t, err, want)
	}
}

func TestAdmission_unknownTargetIsNotFound(t *testing.T) {
	a, err := NewAdmission(Target{Name: testName, LUNs: map[uint64]scsi.LogicalUnit{0: scsi.NoLUN{}}})
	require.NoError(t, err)
	_, err = a.Credentials(context.Background(), target.Attempt{TargetName: testName + ".other"})
	var refusal *target.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, []byte{2, 3}, []byte{refusal.Class, refusal.Detail})
	require.Equal(t, []string{testName}, a.Targets("anyone"))
}

func TestServe_faultsCloseTheListeners(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorContains(t, Serve(context.Background(), Options{Listeners: []net.Listener{l}}), "no target")
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}
