package domain

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/guest"
)

func TestKinds_everyWordHasADriverAndRefusesWhatItDoesNotKnow(t *testing.T) {
	drivers := Drivers(Options{})
	require.Len(t, drivers, len(Words()), "no word twice")
	for _, word := range Words() {
		require.NotNil(t, drivers[word], word)
		err := Check(guest.Definition{Name: "web1", Driver: word, Settings: json.RawMessage(`{"no_such_field": 1}`)})
		var fault *guest.Fault
		require.ErrorAs(t, err, &fault, word)
		require.Equal(t, word+".no_such_field", fault.Path)
		_, err = drivers[word].Adopt(t.Context(), t.TempDir())
		require.ErrorIs(t, err, ErrNone, word)
		require.NoError(t, drivers[word].Forget(t.TempDir()), "nothing to forget is no error")
	}
}

// A kill command that does not find the driver that made it fails, at the moment when a host is fenced.
func TestKinds_aKillCommandFindsEveryDriver(t *testing.T) {
	for _, word := range Words() {
		require.NoError(t, EndRun(t.Context(), word, t.TempDir(), "token", Options{}), word)
	}
}

func TestCheck_unknownDriverNamesThoseThatThereAre(t *testing.T) {
	err := Check(guest.Definition{Name: "web1", Driver: "vmware"})
	require.ErrorContains(t, err, `"vmware" is unknown`)
	require.ErrorContains(t, err, DriverExec)
}

func TestNamed(t *testing.T) {
	require.EqualError(t, Named("web1", guest.Faultf("exec", "no")), "domain web1: exec: no")
	plain := errors.New("domain web1: no")
	require.Equal(t, plain, Named("web1", plain))
}

// A domain that is defined anew with another driver has the records of both.
func TestRecord_isOfOneDriver(t *testing.T) {
	o := Order{Name: "web1", Driver: DriverExec, Run: 1, Dir: filepath.Join(t.TempDir(), "web1"),
		Settings: command(t, "sleep", "1000")}
	p := start(t, NewExec(Options{}), o)
	other := newLocal(Options{}, program{word: "other", command: execCommand})
	_, err := other.Adopt(t.Context(), o.Dir)
	require.ErrorIs(t, err, ErrNone)
	require.NoError(t, other.Forget(o.Dir))
	again, err := NewExec(Options{}).Adopt(t.Context(), o.Dir)
	require.NoError(t, err, "the other driver forgot nothing of this one")
	require.Equal(t, p.ID(), again.ID())
	again.Release()
}

// Two that write one record at once must both succeed, and what a daemon that died left is forgotten with the record.
func TestRecord_writersDoNotMeet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "we[b]1")
	require.NoError(t, os.Mkdir(dir, 0o700))
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for run := range uint64(20) {
				assert.NoError(t, record{Driver: DriverExec, Order: Order{Name: "web1", Dir: dir, Run: run}}.save())
			}
		})
	}
	writers.Wait()
	r, err := load(dir, DriverExec)
	require.NoError(t, err)
	require.EqualValues(t, 19, r.Order.Run)
	require.NoError(t, os.WriteFile(recordPath(dir, DriverExec)+".new1", []byte("{"), 0o600))
	require.NoError(t, forget(dir, DriverExec))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
