package raft

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

func TestBackup_wholeOrRefused(t *testing.T) {
	s := newScript(t)
	s.apply(rulesSetUp)
	var file bytes.Buffer
	require.NoError(t, WriteBackup(&file, s.state, 42, at()))
	info, state, err := ReadBackup(bytes.NewReader(file.Bytes()))
	require.NoError(t, err)
	require.Equal(t, string(mustJSON(t, s.state)), string(mustJSON(t, state)))
	require.Equal(t, BackupInfo{Cluster: "demo", ID: s.state.Cluster.ID, Incarnation: s.state.Cluster.Incarnation,
		Revision: 42, At: at(), Volumes: 1, Nodes: len(s.state.Nodes)}, info)

	for n := range file.Len() {
		_, _, err := ReadBackup(bytes.NewReader(file.Bytes()[:n]))
		require.Error(t, err, "%d bytes", n)
		bad := bytes.Clone(file.Bytes())
		bad[n] ^= 0x01
		_, _, err = ReadBackup(bytes.NewReader(bad))
		require.Error(t, err, "byte %d", n)
	}
	_, _, err = ReadBackup(bytes.NewReader([]byte("holdfast-backup 9 0 00000000\n")))
	require.ErrorContains(t, err, "version 9")
}

// A state with a hole cannot be gone on with; one with a bad row can, without that row.
func TestReadSnapshot_holes(t *testing.T) {
	for name, spoil := range map[string]func(*State){
		"a leg":           func(s *State) { s.SortedVolumes()[0].Legs[0] = nil },
		"a volume":        func(s *State) { s.Volumes[volume.NewID()] = nil },
		"a volume's name": func(s *State) { s.Volumes[volume.NewID()] = s.SortedVolumes()[0] },
		"a node":          func(s *State) { s.Nodes[volume.NewNodeID()] = nil },
		"a domain":        func(s *State) { s.Domains["d"] = nil },
	} {
		s := newScript(t)
		s.apply(rulesSetUp)
		spoil(s.state)
		var out bytes.Buffer
		require.NoError(t, WriteSnapshot(&out, s.state, 1))
		_, _, err := ReadSnapshot(&out)
		require.ErrorIs(t, err, ErrCorrupt, name)
	}
	s := newScript(t)
	s.apply(rulesSetUp)
	s.state.SortedVolumes()[0].SizeBytes = -1
	var out bytes.Buffer
	require.NoError(t, WriteSnapshot(&out, s.state, 1))
	_, _, err := ReadSnapshot(&out)
	require.NoError(t, err)
}
