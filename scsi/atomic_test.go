package scsi

import (
	"bytes"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
)

func cawCDB(lba, blocks byte) CDB {
	return CDB{0x89, 0, 0, 0, 0, 0, 0, 0, 0, lba, 0, 0, 0, blocks}
}

func TestCompareAndWrite(t *testing.T) {
	b := newBench(t, nil, nil)
	old, next := pattern(2), repeated(0xee, 1024)
	b.good(extentOf(opWrite10, 0, 5, 2), old, 0)
	b.good(cawCDB(5, 2), append(bytes.Clone(old), next...), 0)
	require.Equal(t, next, b.contents(5, 2))

	wrong := bytes.Clone(next)
	wrong[700]++
	miscompare := senseMiscompare.sense()
	miscompare.Valid, miscompare.Information = true, 700
	b.refusedWith(miscompare, cawCDB(5, 2), append(wrong, old...))
	require.Equal(t, next, b.contents(5, 2))

	both := append(bytes.Clone(next), old...)
	b.refused(senseInvalidFieldInIU, cawCDB(5, 2), both[:1536])
	b.refused(senseInvalidFieldInCDB, cawCDB(5, 1), both)
	b.refused(senseInvalidFieldInCDB, cawCDB(5, 33), both) // 2 × 33 > the longest transfer of 64
	b.refused(senseLBAOutOfRange, CDB{0x89, 0, 0, 0, 0, 0, 0, 0, 1, 255, 0, 0, 0, 2}, both)
	b.refused(senseInvalidFieldInCDB, CDB{0x89, 0x20, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2}, both)
	require.Equal(t, next, b.contents(5, 2))
	b.good(cawCDB(5, 0), nil, 0)
}

// A counter that many raise with COMPARE AND WRITE loses no step.
func TestCompareAndWrite_isAtomic(t *testing.T) {
	b := newBench(t, nil, nil)
	const workers, steps = 4, 32
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for done := 0; done < steps; {
				have := make([]byte, 512)
				read := Read16CDB(0, 1)
				var res Response
				b.disk.Execute(t.Context(), &Command{CDB: read[:], Nexus: b.nexus, DataIn: have}, &res)
				next := bytes.Clone(have)
				next[0]++
				caw := cawCDB(0, 1)
				res = Response{}
				b.disk.Execute(t.Context(),
					&Command{CDB: caw[:], Nexus: b.nexus, DataOut: append(have, next...), ExpectedOut: 1024}, &res)
				if res.Status == Good {
					done++
				}
			}
		})
	}
	all.Wait()
	require.Equal(t, byte(workers*steps), b.contents(0, 1)[0])
}

func TestORWrite(t *testing.T) {
	b := newBench(t, nil, nil)
	b.good(extentOf(opWrite10, 0, 1, 1), repeated(0xa5, 512), 0)
	b.good(extentOf(opORWrite16, 0, 1, 1), repeated(0x5a, 512), 0)
	require.Equal(t, repeated(0xff, 512), b.contents(1, 1))
	b.refused(senseLBAOutOfRange, extentOf(opORWrite16, 0, testBlocks, 1), nil)
}

func TestWriteAtomic(t *testing.T) {
	b := newBench(t, nil, nil)
	cdb := CDB{0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 16}
	b.good(cdb, pattern(16), 0)
	require.Equal(t, pattern(16), b.contents(8, 16))
	for _, wrong := range []CDB{
		{0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 8},  // not aligned
		{0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 4},  // not the granularity
		{0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 8, 0, 16}, // a boundary
		{0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 72}, // too long
	} {
		b.refused(senseInvalidFieldInCDB, wrong, pattern(72))
	}
	b.refused(senseInvalidFieldInIU, cdb, pattern(8))
	require.Equal(t, pattern(16), b.contents(8, 16))
}

func TestAtomic_writeProtected(t *testing.T) {
	b := newBench(t, func(l *block.Limits) { l.ReadOnly = true }, nil)
	for _, cdb := range []CDB{cawCDB(0, 1), extentOf(opORWrite16, 0, 0, 1),
		{0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8}, {opSanitize, saBlockErase}} {
		b.refused(senseWriteProtected, cdb, nil)
	}
}

func TestVolume_hasNoCommandThatPromisesTooMuch(t *testing.T) {
	b := newBench(t, nil, func(o *Options) { o.Volume = true })
	b.refused(senseInvalidOpcode, CDB{0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 16}, pattern(16))
	b.refused(senseInvalidOpcode, CDB{opSanitize, saBlockErase}, nil)
	page, ok := b.disk.vpdPage(vpdBlockLimits)
	require.True(t, ok)
	require.Equal(t, make([]byte, 20), page[44:], "no limits of what is not there")
	require.EqualValues(t, 32, page[5], "COMPARE AND WRITE is")
	page, ok = b.disk.vpdPage(vpdBlockCharacteristics)
	require.True(t, ok)
	require.Zero(t, page[7], "no word of what SANITIZE leaves")
}
