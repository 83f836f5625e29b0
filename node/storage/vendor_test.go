package storage

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/scsi"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// What a joining leg and a scrub ask for: versions, their take-over, blocks that rotted and their
// adoption, as an engine sees it.
func TestVendor_versionsAndBadBlocks(t *testing.T) {
	n := newNode(t)
	o := n.provisioned()
	s := n.login(o.Leg, 1, volume.NewAttachID())
	require.Equal(t, scsi.Good, s.config(1, volume.Config{CfgVer: 3, InSync: []volume.LegID{o.Leg}}).Status)
	s.do(make([]byte, 16), nil, 0) // the unit attention of power on
	_, res := s.do(rw16(opWrite16, 1), bytes.Repeat([]byte{9}, 4096), 0)
	require.Equal(t, scsi.Good, res.Status)

	versions := func(since volume.CfgVer) inband.VersionsPage {
		data, res := s.inband(inband.Versions{Since: since}, nil)
		require.Equal(t, scsi.Good, res.Status)
		page, err := inband.ParseVersions(data)
		require.NoError(t, err)
		return page
	}
	stamp := func(p inband.VersionsPage) scsi.Response {
		list, err := inband.AppendVersions(nil, p)
		require.NoError(t, err)
		_, res := s.inband(inband.Stamp{ParamBytes: uint32(len(list))}, list)
		return res
	}
	page := versions(0)
	require.Equal(t, []volume.VersionRun{{First: 0, Count: 1, Version: 3}}, page.Runs)
	page.Runs[0].Version = 5
	require.Equal(t, scsi.Good, stamp(page).Status)
	require.Equal(t, page, versions(4))
	outside := inband.VersionsPage{Next: 99, Regions: 99, Runs: []volume.VersionRun{{First: 98, Count: 1, Version: 1}}}
	require.Equal(t, byte(0x2c), stamp(outside).Sense.ASC, "regions that the leg does not have")

	// A block that rotted, seen by a read of the medium, is reported, and adopted only after a power cut that
	// may have torn it.
	path := filepath.Join(n.dir, "disk0", "legs", o.Leg.String(), "data")
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	rotten := bytes.Repeat([]byte{8}, 4096)
	_, err = file.WriteAt(rotten, 4096)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	bad := func() []uint32 {
		data, res := s.inband(inband.Checksums{FirstBlock: 0, Blocks: 3, Medium: true}, nil)
		require.Equal(t, scsi.Good, res.Status)
		sums, bad, err := inband.ParseChecksums(data, 3)
		require.NoError(t, err)
		require.Equal(t, inband.Checksum(rotten), sums[1], "what the block holds now")
		return bad
	}
	require.Equal(t, []uint32{1}, bad())
	_, res = s.do(rw16(opRead16, 1), nil, 4096)
	require.Equal(t, scsi.MediumError, res.Sense.Key, "it is never served")
	_, res = s.inband(inband.Adopt{FirstBlock: 0, Blocks: 3}, nil)
	require.Equal(t, byte(0x2c), res.Sense.ASC)
	require.Equal(t, []uint32{1}, bad())
	require.NoError(t, n.manager.Close())
	n.boot("boot 2")
	n.start()
	require.NoError(t, n.assign(o))
	s = n.login(o.Leg, 2, volume.NewAttachID())
	require.Equal(t, scsi.Good, s.config(2, volume.Config{CfgVer: 6, InSync: []volume.LegID{o.Leg}}).Status)
	s.do(make([]byte, 16), nil, 0)
	require.Equal(t, []uint32{1}, bad())
	_, res = s.inband(inband.Adopt{FirstBlock: 0, Blocks: 3}, nil)
	require.Equal(t, scsi.Good, res.Status)
	require.Empty(t, bad())
	_, res = s.inband(inband.Adopt{FirstBlock: 1 << 60, Blocks: 1}, nil)
	require.Equal(t, byte(0x21), res.Sense.ASC)
}
