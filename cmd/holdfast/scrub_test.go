package main

import (
	"context"
	"net"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
)

// scrubService is a cluster of one volume whose scrub is what a test says.
type scrubService struct {
	api.Service
	asked  api.ScrubVolume
	result *api.ScrubResult
}

func (s *scrubService) ScrubVolume(_ context.Context, name string, r api.ScrubVolume,
	emit func(api.Operation) error) error {
	s.asked = r
	o := api.Operation{Verb: "scrub", Object: "volume/" + name, State: api.OperationRunning, Progress: 0.5,
		DoneBytes: 1 << 29, CopyBytes: 1 << 30, Message: "it goes on"}
	if err := emit(o); err != nil || r.NoWait {
		return err
	}
	o.State, o.Progress, o.Message, o.Scrub = api.OperationDone, 1, "it is done", s.result
	return emit(o)
}

func (s *scrubService) StopScrub(context.Context, string) (*api.ScrubResult, error) {
	return s.result, nil
}

func (s *scrubService) Volume(_ context.Context, name string) (api.Volume, error) {
	return api.Volume{Name: name, ScrubEverySeconds: 30 * 24 * 3600, LastScrub: s.result,
		Scrub: &api.Scrub{By: "schedule", Progress: 0.25, Running: true},
		Legs: []api.Leg{{ID: "0123456789", Node: "n1", State: "stale", SetBack: true, MediumErrors: 4, Healed: 3,
			BannedSeconds: 90}}}, nil
}

func TestVolumeScrub(t *testing.T) {
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	s := &scrubService{result: &api.ScrubResult{ID: 1, Complete: true, Bytes: 1 << 30, Bad: 3, Healed: 3, At: at,
		FinishedAt: at.Add(90 * time.Second), Ranges: []api.ByteRange{},
		Legs: []api.ScrubbedLeg{{ID: "0123456789", Node: "n1", Bad: 3, Healed: 3}}}}
	path := filepath.Join(t.TempDir(), "api.sock")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(api.NewHandler(s))
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	t.Setenv("HOLDFAST_API", "unix://"+path)

	r := runLine(t.Context(), "volume", "scrub", "web1", "--rate", "50M")
	require.Zero(t, r.code, r.stderr)
	require.EqualValues(t, 50<<20, s.asked.RateBytes)
	require.Contains(t, r.stderr, "scrub volume/web1: 50 %, it goes on")
	require.Regexp(t, `web1 +1 GiB +yes +3 +3 +0 +0 +1m30s`, r.stdout)
	require.Regexp(t, `01234567 +n1 +3 +3`, r.stdout)

	r = runLine(t.Context(), "volume", "scrub", "web1", "--no-wait")
	require.Zero(t, r.code, r.stderr)
	require.True(t, s.asked.NoWait)
	require.Empty(t, r.stdout)

	r = runLine(t.Context(), "volume", "show", "web1")
	require.Contains(t, r.stdout, "every 30 days")
	require.Contains(t, r.stdout, "under way, 25%, by the schedule")
	require.Contains(t, r.stdout, "3 bad, 3 healed, 0 diverged, 0 unreadable")
	require.Contains(t, r.stdout, "set back to an older state; 4 medium errors, 3 blocks healed; tried again in 90 s")

	s.result.Diverged, s.result.Ranges = 1, []api.ByteRange{{Offset: 8192, Length: 4096}}
	r = runLine(t.Context(), "volume", "scrub", "web1", "-o", "json")
	require.Equal(t, 1, r.code, "what it could not heal is a failure")
	require.Contains(t, r.stdout, `"diverged": 1`)
	require.Contains(t, r.stderr, "1 diverged")
	r = runLine(t.Context(), "volume", "scrub", "web1", "--stop")
	require.Equal(t, 1, r.code)
	require.Regexp(t, `8192 +4096`, r.stdout)

	s.result = nil
	r = runLine(t.Context(), "volume", "scrub", "web1", "--stop")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stderr, "no scrub of volume web1 runs")
	for _, line := range [][]string{{"--stop", "--no-wait"}, {"--stop", "--rate", "1M"}, {"--rate", "fast"}} {
		r = runLine(t.Context(), append([]string{"volume", "scrub", "web1"}, line...)...)
		require.Equal(t, 2, r.code, line)
	}
}
