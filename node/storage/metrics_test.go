package storage

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/metrics/metricstest"
)

func TestMetrics(t *testing.T) {
	n := newNode(t)
	order := n.provisioned()
	registry := metricstest.Registry(t, n.manager.Collectors()...)
	metricstest.Golden(t, registry)
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP holdfast_storage_store_usable 1 if the store can be used and answers.
# TYPE holdfast_storage_store_usable gauge
holdfast_storage_store_usable{store="disk0"} 1
# HELP holdfast_storage_leg_condition 1 for the condition of the leg.
# TYPE holdfast_storage_leg_condition gauge
holdfast_storage_leg_condition{condition="ok",leg="`+order.Leg.String()+`",store="disk0"} 1
`), "holdfast_storage_store_usable", "holdfast_storage_leg_condition"))
}
