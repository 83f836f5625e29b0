package scsi

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

func TestSanitize_blockErase(t *testing.T) {
	b, seen := newZeroBench(t, nil)
	b.disk.ungated = seen
	b.good(CDB{0x48, 0x02}, nil, 0)
	require.Equal(t, make([]byte, testBlocks*512), b.contents(0, testBlocks))
	for _, z := range seen.zeroes {
		require.Equal(t, block.Unmap, z.Flags)
	}
	for _, wrong := range []CDB{{0x48, 0x42}, {0x48, 2, 1}, {0x48, 2, 0, 0, 0, 0, 1}, {0x48, 2, 0, 0, 0, 0, 0, 0, 8},
		{0x48, 0x01}, {0x48, 0x03}, {0x48, 0x1f, 0, 0, 0, 0, 0, 0, 8}} {
		b.refused(senseInvalidFieldInCDB, wrong, nil)
	}
}

func TestSanitize_inProgressAndFailed(t *testing.T) {
	b := newBench(t, nil, nil)
	require.Zero(t, b.disk.beginSanitize())
	b.disk.state.progress.Store(0x4000)
	b.refused(senseSanitizing, TestUnitReadyCDB(), nil)
	b.refused(senseSanitizing, extentOf(opRead10, 0, 0, 1), nil)
	b.refused(senseSanitizing, CDB{0x48, 0x02}, nil)
	b.good(InquiryCDB(96), nil, 96)
	sense := b.good(CDB{opRequestSense, 0, 0, 0, 18}, nil, 18)
	require.Equal(t, []byte{0x70, 0, 2, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x04, 0x1b, 0, 0x80, 0x40, 0}, sense)

	b.disk.endSanitize(block.ErrFailed, false)
	b.refused(senseSanitizeFailed, TestUnitReadyCDB(), nil)
	b.refused(senseInvalidFieldInCDB, CDB{0x48, 0x1f}, nil)
	require.Zero(t, b.disk.beginSanitize())
	b.disk.endSanitize(block.ErrFailed, true)
	b.good(CDB{0x48, 0x1f}, nil, 0)
	b.good(TestUnitReadyCDB(), nil, 0)
}

func TestSoftwareWriteProtect(t *testing.T) {
	b := newBench(t, nil, nil)
	page := []byte{0, 0, 0, 0, 0x0a, 10, 0, 0x10, 0x08, 0x40, 0, 0, 0xff, 0xff, 0, 0}
	b.good(CDB{opModeSelect6, 0x10, 0, 0, 16}, page, 0)
	b.refused(senseWriteProtected, extentOf(opWrite10, 0, 0, 1), pattern(1))
	data := b.good(CDB{opModeSense6, 8, 0x0a, 0, 255}, nil, 255)
	require.Equal(t, byte(0x90), data[2])
	require.Equal(t, byte(0x08), data[8])
	page[8] = 0
	b.good(CDB{opModeSelect6, 0x10, 0, 0, 16}, page, 0)
	b.good(extentOf(opWrite10, 0, 0, 1), pattern(1), 0)
}

func TestRemovable(t *testing.T) {
	b := newBench(t, nil, func(o *Options) { o.Removable = true })
	eject, load := CDB{opStartStopUnit, 0, 0, 0, 2}, CDB{opStartStopUnit, 0, 0, 0, 3}
	require.Equal(t, byte(0x80), b.good(InquiryCDB(96), nil, 96)[1])
	b.good(CDB{0x1e, 0, 0, 0, 1}, nil, 0)
	b.refused(senseRemovalPrevented, eject, nil)
	b.disk.NexusLost(b.nexus)
	b.good(eject, nil, 0)
	b.refused(senseNoMedium, TestUnitReadyCDB(), nil)
	b.refused(senseNoMedium, extentOf(opWrite10, 0, 0, 1), pattern(1))
	b.good(load, nil, 0)
	b.good(TestUnitReadyCDB(), nil, 0)
	require.Equal(t, make([]byte, 512), b.contents(0, 1))

	fixed := newBench(t, nil, nil)
	fixed.refused(senseInvalidOpcode, CDB{0x1e, 0, 0, 0, 1}, nil)
	fixed.refused(senseInvalidFieldInCDB, eject, nil)
}
