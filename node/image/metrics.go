package image

import "github.com/prometheus/client_golang/prometheus"

// Collectors returns the metrics of the node's images, to be registered once.
func (k *Keeper) Collectors() []prometheus.Collector { return []prometheus.Collector{newCollector(k)} }

// collector tells what the keeper did, and has. It touches no disk.
type collector struct {
	keeper                                               *Keeper
	bytes, files, missing, got, pulls, wrong, unreadable *prometheus.Desc
}

func newCollector(k *Keeper) *collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("holdfast_images_"+name, help, nil, nil)
	}
	return &collector{keeper: k,
		bytes:      desc("bytes", "Size of the images on this node."),
		files:      desc("files", "How many there are."),
		missing:    desc("missing", "Images that this node is to have and cannot give to guests yet."),
		got:        desc("pulled_bytes_total", "What came from other nodes."),
		pulls:      desc("pulled_total", "Images that came from other nodes as a whole."),
		wrong:      desc("wrong_total", "Files, and what came from other nodes, that were not what their digests say."),
		unreadable: desc("unreadable_total", "Files that the disk did not give."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.bytes, c.files, c.missing, c.got, c.pulls, c.wrong, c.unreadable} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	tell := func(kind prometheus.ValueType, d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, kind, v)
	}
	bytes, files := int64(0), 0
	for _, d := range c.keeper.store.digests() {
		if b, here := c.keeper.store.state(d); here {
			bytes, files = bytes+b.size, files+1
		}
	}
	counts := c.keeper.Counts()
	tell(prometheus.GaugeValue, c.bytes, float64(bytes))
	tell(prometheus.GaugeValue, c.files, float64(files))
	tell(prometheus.GaugeValue, c.missing, float64(len(c.keeper.Status())))
	tell(prometheus.CounterValue, c.got, float64(counts.PulledBytes))
	tell(prometheus.CounterValue, c.pulls, float64(counts.Pulled))
	tell(prometheus.CounterValue, c.wrong, float64(counts.Wrong))
	tell(prometheus.CounterValue, c.unreadable, float64(counts.Unreadable))
}
