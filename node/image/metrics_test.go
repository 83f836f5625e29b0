package image

import (
	"testing"

	"github.com/holdfast-storage/holdfast/node/metrics/metricstest"
)

func TestMetrics(t *testing.T) {
	a := newMachine(t)
	data, d := content(1, 100)
	a.give(data, d)
	metricstest.Golden(t, metricstest.Registry(t, a.keeper.Collectors()...))
}
