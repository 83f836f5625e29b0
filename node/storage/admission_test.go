package storage

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/scsi"
	"github.com/holdfast-storage/holdfast/target"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

func attempt(leg volume.LegID, e volume.Epoch, a volume.AttachID) target.Attempt {
	return target.Attempt{TargetName: volume.TargetName(leg, e), InitiatorName: volume.InitiatorName(a)}
}

// killed is a SessionControl that remembers.
type killed struct{ reasons []string }

func (k *killed) Kill(reason string) { k.reasons = append(k.reasons, reason) }

// engine is one admitted login, as an initiator sees it.
type engine struct {
	t       *testing.T
	attempt target.Attempt
	control *killed
	grant   target.Grant
}

func (n *node) login(leg volume.LegID, e volume.Epoch, a volume.AttachID) *engine {
	n.t.Helper()
	out := &engine{t: n.t, attempt: attempt(leg, e, a), control: &killed{}}
	creds, err := n.manager.Credentials(n.t.Context(), out.attempt)
	require.NoError(n.t, err)
	require.Equal(n.t, target.Credentials{
		User: volume.ChapUser(a), Secret: volume.ChapSecret(n.options.NodeKey, n.incarnation, leg, e, a)},
		creds)
	out.grant, err = n.manager.Admit(n.t.Context(), out.attempt, out.control)
	require.NoError(n.t, err)
	return out
}

// do executes one CDB as the target would.
func (e *engine) do(cdb []byte, dataOut []byte, most int) ([]byte, scsi.Response) {
	e.t.Helper()
	unit := e.grant.LUNs[0]
	if need := unit.DataOutLen(cdb); need > 0 {
		require.Len(e.t, dataOut, int(need))
	}
	in := make([]byte, min(unit.DataInLen(cdb), int64(most)))
	var res scsi.Response
	unit.Execute(context.Background(), &scsi.Command{CDB: cdb, DataOut: dataOut, DataIn: in,
		Nexus: scsi.Nexus{InitiatorName: e.attempt.InitiatorName}}, &res)
	return in[:min(res.InLen, int64(len(in)))], res
}

func (e *engine) inband(c inband.Command, dataOut []byte) ([]byte, scsi.Response) {
	e.t.Helper()
	cdb := c.CDB()
	return e.do(cdb[:], dataOut, c.DataInBytes())
}

func (e *engine) config(epoch volume.Epoch, c volume.Config) scsi.Response {
	e.t.Helper()
	list, err := inband.AppendConfig(nil, epoch, c)
	require.NoError(e.t, err)
	_, res := e.inband(inband.Config{ParamBytes: uint32(len(list))}, list)
	return res
}

// write16 makes WRITE(16), or READ(16), of one block of 4096 bytes.
func rw16(opcode byte, lba byte) []byte {
	return []byte{opcode, 0, 0, 0, 0, 0, 0, 0, 0, lba, 0, 0, 0, 1, 0, 0}
}

const (
	opRead16  = 0x88
	opWrite16 = 0x8a
)

// The life of two epochs through the SCSI surface: fence, CONFIG, I/O, takeover, and what the old
// host then meets.
func TestAdmission_loginIsTheFence(t *testing.T) {
	n := newNode(t)
	leg := n.provisioned().Leg
	first, second := volume.NewAttachID(), volume.NewAttachID()
	old := n.login(leg, 1, first)
	old.do([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, nil, 0) // the unit attention of power on
	block := bytes.Repeat([]byte{7}, 4096)
	_, res := old.do(rw16(opWrite16, 3), block, 0)
	require.Equal(t, scsi.CheckCondition, res.Status, "nothing before CONFIG")
	require.Equal(t, scsi.Good, old.config(1, volume.Config{CfgVer: 1, InSync: []volume.LegID{leg}}).Status)
	_, res = old.do(rw16(opWrite16, 3), block, 0)
	require.Equal(t, scsi.Good, res.Status)

	taken := n.login(leg, 2, second)
	require.Len(t, old.control.reasons, 1, "the old session was killed")
	_, res = old.do(rw16(opWrite16, 3), make([]byte, 4096), 0)
	require.Equal(t, scsi.ReservationConflict, res.Status, "only this says fenced")
	require.Equal(t, scsi.ReservationConflict, old.config(1,
		volume.Config{CfgVer: 9, InSync: []volume.LegID{leg}}).Status)
	_, err := n.manager.Credentials(t.Context(), attempt(leg, 1, first))
	refused := (*target.Refusal)(nil)
	require.ErrorAs(t, err, &refused)
	require.Equal(t, [][2]string{{volume.EpochTextKey, "2"}}, refused.TextKeys)
	_, err = n.manager.Admit(t.Context(), attempt(leg, 1, first), &killed{})
	require.ErrorAs(t, err, &refused)
	require.Equal(t, [2]byte{2, 2}, [2]byte{refused.Class, refused.Detail})
	require.Equal(t, [][2]string{{volume.EpochTextKey, "2"}}, refused.TextKeys)

	data, res := taken.inband(inband.ReadLabel{}, nil)
	require.Equal(t, scsi.Good, res.Status)
	report, err := inband.ParseReport(data)
	require.NoError(t, err)
	require.Equal(t, volume.Epoch(2), report.Label.FenceEpoch)
	require.True(t, report.Label.Marked)
	require.False(t, report.Lossy)
	require.Equal(t, scsi.Good, taken.config(2, volume.Config{CfgVer: 2, InSync: []volume.LegID{leg}}).Status)
	taken.do(make([]byte, 16), nil, 0)
	data, res = taken.do(rw16(opRead16, 3), nil, 4096)
	require.Equal(t, scsi.Good, res.Status)
	require.Equal(t, block, data, "the write of epoch 1 that was answered")
	s := n.status(leg)
	require.Equal(t, uint64(2), s.RefusedLogins)
	require.Equal(t, uint64(2), s.RefusedCommands)
	require.Equal(t, 1, s.Sessions)
	require.Equal(t, volume.CfgVer(2), s.CfgVer)
	old.grant.Closed()
	taken.grant.Closed()
	require.Zero(t, n.status(leg).Sessions)
}

func TestCredentials_changeNothing(t *testing.T) {
	n := newNode(t)
	leg := n.provisioned().Leg
	live := n.login(leg, 1, volume.NewAttachID())
	for range 3 {
		_, err := n.manager.Credentials(t.Context(), attempt(leg, 99, volume.NewAttachID()))
		require.NoError(t, err)
	}
	require.Empty(t, live.control.reasons)
	require.Equal(t, volume.Epoch(1), n.status(leg).FenceEpoch)
	require.Empty(t, n.manager.Targets(live.attempt.InitiatorName))
}

// Refusals that are no fence never carry an epoch above the login's own.
func TestAdmission_refusalsThatAreNoFence(t *testing.T) {
	n := newNode(t)
	leg := n.provisioned().Leg
	holder := volume.NewAttachID()
	n.login(leg, 5, holder)
	for name, a := range map[string]target.Attempt{
		"another attachment": attempt(leg, 5, volume.NewAttachID()),
		"unknown leg":        attempt(volume.NewLegID(), 6, holder),
		"no leg's name": {TargetName: "iqn.2026-11.io.holdfast:disk",
			InitiatorName: volume.InitiatorName(holder)},
		"no engine's name": {TargetName: volume.TargetName(leg, 6),
			InitiatorName: "iqn.1993-08.org.debian:01:x"},
	} {
		_, err := n.manager.Admit(t.Context(), a, &killed{})
		refused := (*target.Refusal)(nil)
		require.ErrorAs(t, err, &refused, name)
		require.NotContains(t, refused.TextKeys, [2]string{volume.EpochTextKey, "6"}, name)
		for _, key := range refused.TextKeys {
			require.Equal(t, "5", key[1], "%s: the leg's epoch is not above the login's", name)
		}
	}
}

// A leg in one epoch is another disk than in the next, so that nothing joins old and new paths.
func TestLogicalUnit_identityIsOfLegAndEpoch(t *testing.T) {
	n := newNode(t)
	leg := n.provisioned().Leg
	pages := map[string]bool{}
	for e := volume.Epoch(1); e <= 2; e++ {
		s := n.login(leg, e, volume.NewAttachID())
		for _, page := range []byte{0x80, 0x83} {
			data, res := s.do([]byte{0x12, 1, page, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, nil, 256)
			require.Equal(t, scsi.Good, res.Status)
			pages[string(data)] = true
		}
	}
	require.Len(t, pages, 4)
}

func TestVendor_commandsAndTheirSense(t *testing.T) {
	n := newNode(t)
	leg := n.provisioned().Leg
	s := n.login(leg, 1, volume.NewAttachID())
	cfg := volume.Config{CfgVer: 3, InSync: []volume.LegID{leg}}
	require.Equal(t, scsi.Good, s.config(1, cfg).Status)
	s.do(make([]byte, 16), nil, 0)
	_, res := s.do(rw16(opWrite16, 1), bytes.Repeat([]byte{9}, 4096), 0)
	require.Equal(t, scsi.Good, res.Status)

	data, _ := s.inband(inband.Marks{Since: 3}, nil)
	page, err := inband.ParseMarks(data)
	require.NoError(t, err)
	require.Equal(t, []inband.Run{{Count: 1, Marked: true}}, page.Runs)
	data, _ = s.inband(inband.Checksums{FirstBlock: 1, Blocks: 2}, nil)
	sums, _, err := inband.ParseChecksums(data, 2)
	require.NoError(t, err)
	require.Equal(t, []uint32{inband.Checksum(bytes.Repeat([]byte{9}, 4096)),
		inband.Checksum(make([]byte, 4096))}, sums)
	data, _ = s.inband(inband.Rotate{}, nil)
	generation, _, err := inband.ParseRotation(data)
	require.NoError(t, err)

	sense := func(res scsi.Response) [2]byte {
		require.Equal(t, scsi.CheckCondition, res.Status)
		require.Equal(t, scsi.IllegalRequest, res.Sense.Key)
		return [2]byte{res.Sense.ASC, res.Sense.ASCQ}
	}
	_, early := s.inband(inband.Detach{Clean: true}, nil)
	require.Equal(t, [2]byte{0x2c, 0}, sense(early), "regions are marked")
	_, future := s.inband(inband.Stable{Generation: generation + 1}, nil)
	require.Equal(t, [2]byte{0x2c, 0}, sense(future))
	require.Equal(t, [2]byte{0x2c, 0}, sense(s.config(1, volume.Config{CfgVer: 2, InSync: cfg.InSync})))
	list, err := inband.AppendConfig(nil, 1, cfg)
	require.NoError(t, err)
	list[1] = 2
	_, version := s.inband(inband.Config{ParamBytes: uint32(len(list))}, list)
	require.Equal(t, [2]byte{0x26, 0}, sense(version))
	list[1], list[7] = 1, 200
	_, length := s.inband(inband.Config{ParamBytes: uint32(len(list))}, list)
	require.Equal(t, [2]byte{0x1a, 0}, sense(length))
	unknown := inband.Rotate{}.CDB()
	unknown[1] = 0x10
	_, res = s.do(unknown[:], nil, 16)
	require.Equal(t, [2]byte{0x24, 0}, sense(res))
	_, outside := s.inband(inband.Checksums{FirstBlock: 1 << 60, Blocks: 1}, nil)
	require.Equal(t, [2]byte{0x21, 0}, sense(outside))
	_, res = s.do(append([]byte{0xc1}, make([]byte, 15)...), nil, 0)
	require.Equal(t, [2]byte{0x20, 0}, sense(res), "another vendor opcode")

	for _, c := range []inband.Command{inband.Stable{Generation: generation}, inband.Detach{Clean: true}} {
		_, res := s.inband(c, nil)
		require.Equal(t, scsi.Good, res.Status, "%v", c)
	}
	_, res = s.do(rw16(opRead16, 1), nil, 4096)
	require.Equal(t, scsi.CheckCondition, res.Status, "the epoch is spent")
	_, err = n.manager.Admit(t.Context(), s.attempt, &killed{})
	refused := (*target.Refusal)(nil)
	require.ErrorAs(t, err, &refused)
	require.True(t, slices.Equal(refused.TextKeys, [][2]string{{volume.EpochTextKey, "1"}}),
		"not above its own: no fence")
}

// A restart of the node's process keeps admission, marks and counters apart from a restart of the
// machine.
func TestRestart_lossyAfterAnotherBoot(t *testing.T) {
	for boot, lossy := range map[string]bool{"boot 1": false, "boot 2": true} {
		n := newNode(t)
		o := n.provisioned()
		a := volume.NewAttachID()
		s := n.login(o.Leg, 1, a)
		require.Equal(t, scsi.Good, s.config(1, volume.Config{CfgVer: 1,
			InSync: []volume.LegID{o.Leg}}).Status)
		s.do(make([]byte, 16), nil, 0)
		_, res := s.do(rw16(opWrite16, 1), make([]byte, 4096), 0)
		require.Equal(t, scsi.Good, res.Status)
		require.NoError(t, n.manager.Close())
		n.boot(boot)
		n.start()
		require.NoError(t, n.assign(o))
		data, _ := n.login(o.Leg, 1, a).inband(inband.ReadLabel{}, nil)
		report, err := inband.ParseReport(data)
		require.NoError(t, err)
		require.Equal(t, lossy, report.Lossy, boot)
	}
}
