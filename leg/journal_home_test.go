package leg_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

// Home without room: the commit stands, the content is right, and the next commit goes on.
func TestCommit_homeWithoutRoom(t *testing.T) {
	fsys := newMemFS()
	l := openLeg(t, parityStore(t, fsys, volume.DurabilityFlush))
	s := configured(t, l, 1)
	ctx := t.Context()
	require.NoError(t, s.Stage(ctx, record(1, 1, volume.RecordDelta, 0, 1), blockOf(3)))
	require.NoError(t, s.Stage(ctx, record(1, 2, volume.RecordImage, 8, 2), append(blockOf(4), blockOf(5)...)))
	fsys.setTear(func(p string, off int64, n int) (int, error) {
		if p == legPath("data") {
			return 512, block.ErrNoSpace
		}
		return n, nil
	})
	for range 2 {
		require.ErrorIs(t, s.Commit(ctx, up(1, 2)), block.ErrNoSpace)
		require.NoError(t, l.Status().Failed)
		requireBlock(t, s, 0, 3)
		requireBlock(t, s, 9, 5)
		require.ErrorIs(t, s.Free(ctx, up(1, 2)), leg.ErrInvalid)
	}
	fsys.setTear(nil)
	require.NoError(t, s.Stage(ctx, record(1, 3, volume.RecordDelta, 0, 1), blockOf(16)))
	require.NoError(t, s.Commit(ctx, up(1, 2)))
	require.NoError(t, s.Free(ctx, up(1, 2)))
	requireBlock(t, s, 0, 3^16)
	requireBlock(t, s, 8, 4)
}

// A commit that has not come home yet is one all the same: nothing takes its records back, and nobody else's are lost
// over it.
func TestCommit_homeWithoutRoomIsACommit(t *testing.T) {
	fsys := newMemFS()
	s := configured(t, openLeg(t, parityStore(t, fsys, volume.DurabilityFlush)), 1)
	ctx := t.Context()
	require.NoError(t, s.Stage(ctx, record(1, 1, volume.RecordDelta, 0, 1), blockOf(3)))
	require.NoError(t, s.Stage(ctx, record(1, 2, volume.RecordImage, 8, 1), blockOf(4)))
	require.NoError(t, s.Stage(ctx, record(1, 3, volume.RecordImage, 20, 1), blockOf(5)))
	fsys.setTear(func(p string, off int64, n int) (int, error) {
		if p == legPath("data") {
			return 512, block.ErrNoSpace
		}
		return n, nil
	})
	listed := func(want ...volume.Transaction) {
		t.Helper()
		have, _, err := s.Records(ctx, 0, 9)
		require.NoError(t, err)
		var list []volume.Transaction
		for _, r := range have.Records {
			list = append(list, r.Transaction)
			require.Equal(t, r.Transaction.Number <= 2, r.Committed, "%s", r.Transaction)
		}
		require.Equal(t, want, list)
	}
	require.ErrorIs(t, s.Commit(ctx, up(1, 2)), block.ErrNoSpace)
	listed(up(1, 1), up(1, 2), up(1, 3))
	require.ErrorIs(t, s.Rollback(ctx, []volume.Transaction{up(1, 1)}), leg.ErrInvalid, "it is committed")
	require.NoError(t, s.Rollback(ctx, []volume.Transaction{up(1, 3)}))
	listed(up(1, 1), up(1, 2))
	require.ErrorIs(t, s.Free(ctx, up(1, 2)), leg.ErrInvalid, "it is not at home")
	require.ErrorIs(t, s.Write(ctx, blockOf(9), 8*4096, 0), leg.ErrInvalid)
	require.NoError(t, s.Stage(ctx, record(1, 4, volume.RecordImage, 30, 1), blockOf(6)))
	fsys.setTear(nil)
	require.NoError(t, s.Commit(ctx, up(1, 2)))
	listed(up(1, 1), up(1, 2), up(1, 4))
	require.NoError(t, s.Free(ctx, up(1, 2)))
	listed(up(1, 4))
	requireBlock(t, s, 0, 3)
	requireBlock(t, s, 8, 4)
	requireBlock(t, s, 20, 0)
	requireBlock(t, s, 30, 6)
}

// A start whose home has no room opens the leg all the same: what the commit did lies over home until there is room.
func TestOpenLeg_homeWithoutRoom(t *testing.T) {
	for _, drop := range []bool{false, true} {
		fsys := newMemFS()
		s := configured(t, openLeg(t, parityStore(t, fsys, volume.DurabilityFlush)), 1)
		ctx := t.Context()
		full := func(p string, off int64, n int) (int, error) {
			if p == legPath("data") {
				return 512, block.ErrNoSpace
			}
			return n, nil
		}
		require.NoError(t, s.Stage(ctx, record(1, 1, volume.RecordDelta, 0, 1), blockOf(3)))
		require.NoError(t, s.Stage(ctx, record(1, 2, volume.RecordImage, 8, 2), append(blockOf(4), blockOf(5)...)))
		require.NoError(t, s.Stage(ctx, record(1, 3, volume.RecordDelta, 0, 1), blockOf(16)))
		fsys.setTear(full)
		require.ErrorIs(t, s.Commit(ctx, up(1, 2)), block.ErrNoSpace)
		fsys = fsys.afterKill()
		fsys.setTear(full)
		s = configured(t, openLeg(t, openStore(t, fsys, "boot 1")), 2)
		holds := func() {
			t.Helper()
			requireBlock(t, s, 0, 3^16)
			requireBlock(t, s, 8, 4)
			requireBlock(t, s, 9, 5)
		}
		holds()
		have, _, err := s.Records(ctx, 0, 9)
		require.NoError(t, err)
		require.Len(t, have.Records, 3)
		require.True(t, have.Records[1].Committed)
		require.ErrorIs(t, s.Free(ctx, up(1, 2)), leg.ErrInvalid)
		require.ErrorIs(t, s.Commit(ctx, up(2, 0)), block.ErrNoSpace)
		fsys.setTear(nil)
		if drop {
			require.NoError(t, s.Drop(ctx, up(1, 3)))
			require.NoError(t, s.Write(ctx, blockOf(7), 8*4096, 0))
			require.NoError(t, s.Commit(ctx, up(2, 0)))
			requireBlock(t, s, 8, 7)
			continue
		}
		require.NoError(t, s.Commit(ctx, up(2, 0)))
		holds()
		require.NoError(t, s.Free(ctx, up(2, 0)))
		holds()
		fsys = fsys.afterCut(func(int) int { return 0 })
		s = configured(t, openLeg(t, openStore(t, fsys, "boot 2")), 3)
		holds()
	}
}
