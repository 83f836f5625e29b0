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

// cloneService is a cluster whose clones are what a test says.
type cloneService struct {
	api.Service
	asked api.CloneVolumes
	clone api.Clone
}

func (s *cloneService) CloneVolumes(_ context.Context, r api.CloneVolumes, emit func(api.Operation) error) error {
	s.asked = r
	o := api.Operation{Verb: "clone", Object: "volume/" + r.Clones[0].Name, State: api.OperationRunning, Progress: 0.5,
		DoneBytes: 1 << 29, CopyBytes: 1 << 30, Message: "it goes on"}
	if err := emit(o); err != nil || r.NoWait {
		return err
	}
	o.State, o.Progress = api.OperationDone, 1
	return emit(o)
}

func (s *cloneService) Volume(_ context.Context, name string) (api.Volume, error) {
	clone := s.clone
	return api.Volume{Name: name, State: clone.State, Clone: &clone}, nil
}

func TestVolumeClone(t *testing.T) {
	at := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	s := &cloneService{clone: api.Clone{Source: "web1", State: api.CloneCut, Progress: 1, CutAt: &at, Frozen: true}}
	path := filepath.Join(t.TempDir(), "api.sock")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(api.NewHandler(s))
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	t.Setenv("HOLDFAST_API", "unix://"+path)

	r := runLine(t.Context(), "volume", "clone", "web1", "copy1", "--rate", "50M", "--layout", "mirror=1",
		"--durability", "sync", "--spread", "rack")
	require.Zero(t, r.code, r.stderr)
	require.EqualValues(t, 50<<20, s.asked.RateBytes)
	require.Equal(t, []api.NewClone{{Source: "web1", Name: "copy1", Layout: "mirror=1", Durability: "sync",
		Spread: "rack"}}, s.asked.Clones)
	require.Contains(t, r.stderr, "clone volume/copy1: 50 %, it goes on")
	require.Regexp(t, `copy1 +web1 +cut +\S+ \S+ +yes`, r.stdout)

	r = runLine(t.Context(), "volume", "clone", "a:a2", "b:b2", "--no-wait", "-o", "json")
	require.Zero(t, r.code, r.stderr)
	require.True(t, s.asked.NoWait)
	require.Equal(t, []api.NewClone{{Source: "a", Name: "a2"}, {Source: "b", Name: "b2"}}, s.asked.Clones)
	require.Contains(t, r.stdout, `"frozen": true`)

	r = runLine(t.Context(), "volume", "show", "copy1")
	require.Contains(t, r.stdout, "of web1 as it was at")
	s.clone = api.Clone{Source: "web1", State: api.CloneFilling, Progress: 0.25, RestBytes: 3 << 20}
	r = runLine(t.Context(), "volume", "show", "copy1")
	require.Contains(t, r.stdout, "of web1, being filled: 25%, 3 MiB left")
	s.clone.Waits = "host h1 does not answer"
	r = runLine(t.Context(), "volume", "show", "copy1")
	require.Contains(t, r.stdout, "waits: host h1 does not answer")

	for _, line := range [][]string{{}, {"web1"}, {"a:a2", "b2"}, {":a2"}, {"a:"}, {"a", "b", "c"},
		{"a", "b", "--rate", "fast"}} {
		r = runLine(t.Context(), append([]string{"volume", "clone"}, line...)...)
		require.Equal(t, 2, r.code, line)
	}
}

func TestOperationFollow_endOfAClone(t *testing.T) {
	require.Equal(t, api.OperationDone, endOf("clone", "clone_cut"))
	require.Equal(t, api.OperationCancelled, endOf("clone", "volume_deleted"))
}
