package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/block/blocktest"
	"github.com/holdfast-storage/holdfast/initiator"
	"github.com/holdfast-storage/holdfast/iscsi"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/scsi"
	"github.com/holdfast-storage/holdfast/volume"
)

const guestSecret = "twelve-chars-16x"

// freePort returns an address on loopback that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// exportISCSI sets an iSCSI export of a volume.
func (c *cluster) exportISCSI(name, address string, secret volume.ExportSecret) {
	c.t.Helper()
	c.apply(raft.Command{RaiseVersion: &raft.RaiseVersion{To: 2}})
	c.apply(raft.Command{SetExport: &raft.SetExport{Volume: c.volume(name).ID, Kind: volume.ExportISCSI,
		Address: address, Secret: secret}})
}

// offered waits until the engine offers the volume by iSCSI, and returns how.
func (e *runningEngine) offered() volume.Offer {
	e.t.Helper()
	var found volume.Offer
	e.waitFor("an offer of iSCSI", func(s peer.EngineStatus) bool {
		for _, o := range s.Exports {
			if o.Type == string(volume.ExportISCSI) {
				found = o
			}
		}
		return found.URL != ""
	})
	return found
}

// logIn logs in to what an engine offers, as a guest's initiator does.
func logIn(t *testing.T, o volume.Offer, user, secret string) (block.Device, error) {
	t.Helper()
	portal, _, ok := strings.Cut(strings.TrimPrefix(o.URL, "iscsi://"), "/")
	require.True(t, ok)
	lun, err := initiator.OpenLUN(t.Context(), initiator.LUNOptions{
		Session: initiator.Options{TargetName: targetOf(o),
			InitiatorName: "iqn.2026-11.com.example:guest", ISID: iscsi.ISID{0x80, 1},
			CHAP: initiator.CHAP{User: user, Secret: secret}},
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", portal)
		},
		RequestTimeout: 5 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = lun.Close() }) // some tests close it themselves
	return lun, nil
}

// A volume passes the same suite as any device, from an initiator to the legs' files.
func TestISCSI_suiteThroughTheWholePath(t *testing.T) {
	c := newCluster(t, 2)
	n := 0
	blocktest.Run(t, func(t *testing.T) block.Device {
		n++
		name := fmt.Sprintf("v%d", n)
		c.createVolume(name, 2)
		c.exportISCSI(name, freePort(t), "")
		d, err := logIn(t, c.startEngine(c.grant(name)).offered(), "", "")
		require.NoError(t, err)
		return d
	})
}

// Both exports are one disk, with one write cache: that of the volume's durability.
func TestISCSI_isTheDiskThatNBDIs(t *testing.T) {
	c := newCluster(t, 1)
	c.createVolume("root", 1)
	c.exportISCSI("root", freePort(t), guestSecret)
	e := c.startEngine(c.grant("root"))
	offer := e.offered()
	require.Equal(t, offer.URL, offer.BoundURL, "initiators log in again by themselves: there is no other name")
	v := c.volume("root")
	require.Contains(t, offer.URL, "/"+volume.ExportTarget(v.ID, v.Attach.Unbroken)+"/0")
	for _, wrong := range []string{"", "another-secret-1"} {
		_, err := logIn(t, offer, "root", wrong)
		require.Error(t, err, "a guest that does not prove the secret gets nothing")
	}
	scsiDisk, err := logIn(t, offer, "root", guestSecret)
	require.NoError(t, err)
	require.True(t, scsiDisk.Limits().Volatile)
	require.True(t, scsiDisk.Limits().CanUnmap)
	require.EqualValues(t, volumeBytes, scsiDisk.Limits().SizeBytes)
	nbdDisk := guest(t, e, 0)
	want, got := bytes.Repeat([]byte{7}, 8192), make([]byte, 8192)
	require.NoError(t, scsiDisk.Write(t.Context(), want, 4096, block.FUA))
	require.NoError(t, nbdDisk.Read(t.Context(), got, 4096))
	require.Equal(t, want, got)
	require.NoError(t, nbdDisk.Zero(t.Context(), block.Range{Off: 4096, Len: 4096}, block.Unmap))
	require.NoError(t, scsiDisk.Flush(t.Context()))
	require.NoError(t, scsiDisk.Read(t.Context(), got, 4096))
	require.Equal(t, append(make([]byte, 4096), want[4096:]...), got)
	_, r, err := e.ask(Request{Verb: VerbMetrics})
	require.NoError(t, err)
	require.Contains(t, r.Metrics, `holdfast_engine_request_bytes_total{op="write",volume="root"} 8192`,
		"what comes by iSCSI counts and is limited as what comes by NBD")
	require.NotContains(t, e.log.String(), guestSecret)
}

// The port is free some day: nothing else waits for that.
func TestISCSI_aPortThatIsTakenIsToldAndTriedAgain(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := newCluster(t, 1)
	c.createVolume("root", 1)
	c.exportISCSI("root", taken.Addr().String(), "")
	e := c.startEngine(c.grant("root"))
	e.waitFor("a fault", func(s peer.EngineStatus) bool { return len(s.Faults) == 1 })
	fault := e.status().Faults[0]
	require.Equal(t, volume.ExportISCSI, fault.Kind)
	require.Equal(t, taken.Addr().String(), fault.Address)
	require.Contains(t, fault.Error, "in use")
	d := guest(t, e, 0)
	require.NoError(t, d.Write(t.Context(), make([]byte, 4096), 0, 0))
	require.NoError(t, taken.Close())
	_, err = logIn(t, e.offered(), "", "")
	require.NoError(t, err)
	require.Empty(t, e.status().Faults)
}

// Once the volume was granted elsewhere the old engine answers nothing, and by the old name nobody gets at the new one.
func TestISCSI_whoWasPluggedInBeforeATakeoverStaysOut(t *testing.T) {
	c := newCluster(t, 1)
	c.createVolume("root", 1)
	address := freePort(t)
	c.exportISCSI("root", address, "")
	first := c.startEngine(c.grant("root"))
	offer := first.offered()
	d, err := logIn(t, offer, "", "")
	require.NoError(t, err)
	require.NoError(t, d.Write(t.Context(), make([]byte, 4096), 0, 0))
	second := c.startEngine(c.grant("root"))
	require.ErrorIs(t, first.wait(), ErrOver)
	again := second.offered()
	require.NotEqual(t, offer, again)
	require.Contains(t, again.URL, address, "the port is the same")
	require.Error(t, d.Write(t.Context(), make([]byte, 4096), 0, 0))
	_, err = logIn(t, offer, "", "")
	require.ErrorContains(t, err, "02/03")
	_, err = logIn(t, again, "", "")
	require.NoError(t, err)
}

// A detach answers what is under way and lets the sessions end.
func TestISCSI_detachEndsItsSessions(t *testing.T) {
	c := newCluster(t, 1)
	c.createVolume("root", 1)
	c.exportISCSI("root", freePort(t), "")
	e := c.startEngine(c.grant("root"))
	d, err := logIn(t, e.offered(), "", "")
	require.NoError(t, err)
	require.NoError(t, d.Write(t.Context(), bytes.Repeat([]byte{9}, 4096), 0, 0))
	_, r, err := e.ask(Request{Verb: VerbDetach})
	require.NoError(t, err)
	require.Empty(t, r.Error)
	require.NoError(t, e.wait())
	v := c.volume("root")
	require.Nil(t, v.Attach)
	require.True(t, v.Clean)
}

// The guest's disk is the same one to it whoever serves it, and promises nothing that the next engine would not keep.
func TestISCSI_whatTheDiskSaysOfItself(t *testing.T) {
	c := newCluster(t, 1)
	c.createVolume("root", 1)
	address := freePort(t)
	c.exportISCSI("root", address, "")
	identities := make(map[string]bool)
	for range 2 {
		offer := c.startEngine(c.grant("root")).offered()
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		s, err := initiator.Login(t.Context(), conn, initiator.Options{TargetName: targetOf(offer),
			InitiatorName: "iqn.2026-11.com.example:guest", ISID: iscsi.ISID{0x80, 1}})
		require.NoError(t, err)
		serial, designators := make([]byte, 255), make([]byte, 255)
		n, err := s.Execute(t.Context(), 0, scsi.VPDCDB(scsi.PageUnitSerialNumber, 255), nil, serial)
		require.NoError(t, err)
		require.Equal(t, c.volume("root").ID.String(), string(serial[4:n]))
		n, err = s.Execute(t.Context(), 0, scsi.VPDCDB(scsi.PageDeviceIdentification, 255), nil, designators)
		require.NoError(t, err)
		identities[string(designators[:n])] = true
		status := make([]byte, 255)
		n, err = s.Execute(t.Context(), 0, scsi.CDB{0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 255}, nil, status)
		require.NoError(t, err)
		require.Equal(t, 24, n, "GET LBA STATUS: one descriptor, of all from there on, mapped or not known")
		require.EqualValues(t, volumeBytes/512-8, binary.BigEndian.Uint32(status[16:]))
		require.Zero(t, status[20])
		for name, cdb := range map[string]scsi.CDB{
			"PERSISTENT RESERVE IN, READ KEYS": {0x5e, 0, 0, 0, 0, 0, 0, 0, 255},
			"RESERVE (6)":                      {0x16},
			"WRITE ATOMIC (16)":                {0x9c},
			"SANITIZE, BLOCK ERASE":            {0x48, 2},
		} {
			_, err := s.Execute(t.Context(), 0, cdb, nil, make([]byte, 255))
			var refused *scsi.StatusError
			require.ErrorAs(t, err, &refused, name)
			require.EqualValues(t, 0x20, refused.Sense.ASC, "%s: there is no such command", name)
		}
		s.Close()
	}
	require.Len(t, identities, 1)
}

// targetOf returns the target's name that is in the URL of an offer.
func targetOf(o volume.Offer) string {
	_, rest, _ := strings.Cut(strings.TrimPrefix(o.URL, "iscsi://"), "/")
	return strings.TrimSuffix(rest, "/0")
}
