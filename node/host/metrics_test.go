package host

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/node/metrics/metricstest"
)

func TestGather_relaysWhatEnginesSayOfTheirOwnVolumes(t *testing.T) {
	m := newMachine(t)
	m.boot()
	ticket := m.attach("root")
	m.order(ticket, "exec sleep 1000")
	m.serving(1)
	m.guest(domain.PhaseRunning, 0)
	families, err := m.host.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	require.Equal(t, "holdfast_engine_state", families[0].GetName())
	require.Equal(t, "root", volumeOf(families[0].Metric[0]))
	metricstest.Golden(t, metricstest.Registry(t, m.host.Collectors()...))

	file := filepath.Join(EngineDir(m.run, "root"), "metrics")
	for name, text := range map[string]string{
		"another volume's":  "holdfast_engine_state{volume=\"other\"} 1\n",
		"of no volume":      "holdfast_engine_state 1\n",
		"none of an engine": "holdfast_node_up{volume=\"root\"} 1\n",
		"no metrics":        "{{{\n",
	} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, err := engineMetrics(t.Context(), EngineDir(m.run, "root"), "root")
		require.Error(t, err, name)
		families, err := m.host.Gather()
		require.NoError(t, err, "it is left out, and keeps back nobody else")
		require.Empty(t, families, name)
	}
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.Mkdir(EngineDir(m.run, "dead"), 0o700))
	began := time.Now()
	families, err = m.host.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1, "a directory without an engine")
	require.Less(t, time.Since(began), patience)
}
