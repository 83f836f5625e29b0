package leg_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/volume"
)

func TestCheck_readsTheHeadOfTheJournal(t *testing.T) {
	fsys := newMemFS()
	l := openLeg(t, parityStore(t, fsys, volume.DurabilityFlush))
	result, err := l.Check()
	require.NoError(t, err)
	require.Greater(t, result.UsedBytes, paritySpec().Layout.JournalBytes(paritySpec().SizeBytes))
	fsys.flip(legPath("journal"), 60, 1)
	_, first := l.Check()
	fsys.flip(legPath("journal"), 60, 1)
	fsys.flip(legPath("journal"), 4096+60, 1)
	_, second := l.Check()
	require.ErrorContains(t, errors.Join(first, second), "slot of the journal's head is corrupt")
	require.True(t, first == nil || second == nil, "one slot counts")
}

// A commit may take long, and says nothing of the disk: whoever asks for the leg's health meanwhile gets an answer.
func TestCheck_doesNotWaitForACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := newMemFS()
		l := openLeg(t, parityStore(t, fsys, volume.DurabilityFlush))
		s := configured(t, l, 1)
		require.NoError(t, s.Stage(t.Context(), record(1, 1, volume.RecordImage, 0, 1), blockOf(3)))
		gate := make(chan struct{})
		fsys.setHook(func(op, path string) error {
			if op == "sync" && path == legPath("journal") {
				<-gate
			}
			return nil
		})
		committed, checked := make(chan error, 1), make(chan error, 1)
		go func() { committed <- s.Commit(t.Context(), up(1, 1)) }()
		synctest.Wait()
		go func() {
			_, err := l.Check()
			checked <- err
		}()
		synctest.Wait()
		select {
		case err := <-checked:
			require.NoError(t, err)
		default:
			t.Error("the check waits for the commit")
		}
		require.Empty(t, committed, "it is under way")
		close(gate)
		require.NoError(t, <-committed)
	})
}

// busyHead is a file system that runs whatever is put in while the head of a journal is read, and tears what was read.
type busyHead struct {
	*memFS
	during func()
}

func (f *busyHead) Open(path string) (leg.File, error) {
	file, err := f.open(path)
	if err == nil && path == legPath("journal") {
		return busyJournal{memFile: file, head: f}, nil
	}
	return file, err
}

type busyJournal struct {
	*memFile
	head *busyHead
}

func (f busyJournal) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.memFile.ReadAt(p, off)
	if during := f.head.during; during != nil && off < volume.JournalHeadBytes {
		f.head.during = nil
		during()
		p[60] ^= 1
	}
	return n, err
}

// A slot that is written while a check reads it proves nothing: the one that counts then is read.
func TestCheck_besideHeadsThatAreWritten(t *testing.T) {
	for _, heads := range []uint64{1, 2, 3} {
		fsys := &busyHead{memFS: newMemFS()}
		l := openLeg(t, parityStore(t, fsys, volume.DurabilityFlush))
		s := configured(t, l, 1)
		fsys.during = func() {
			for n := range heads {
				require.NoError(t, s.Stage(t.Context(), record(1, n+1, volume.RecordImage, 0, 1), blockOf(3)))
				require.NoError(t, s.Commit(t.Context(), up(1, n+1)))
				require.NoError(t, s.Free(t.Context(), up(1, n+1)))
			}
		}
		_, err := l.Check()
		require.NoError(t, err)
		require.Nil(t, fsys.during, "the head was read")
	}
}
