package storage

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-storage/holdfast/node/peer"
)

// Collectors returns the metrics of the role, to be registered once.
func (m *Manager) Collectors() []prometheus.Collector { return []prometheus.Collector{newCollector(m)} }

// collector tells what the latest checks of the stores and legs found. It touches no disk.
type collector struct {
	manager                                             *Manager
	total, free, usable, condition, read, used, sess    *prometheus.Desc
	refusedLogins, refusedCommands                      *prometheus.Desc
	diskErrors, diskRead, diskSmart, diskWear, diskHeat *prometheus.Desc
}

func newCollector(m *Manager) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("holdfast_storage_"+name, help, labels, nil)
	}
	leg := []string{"store", "leg"}
	return &collector{
		manager:   m,
		total:     desc("store_size_bytes", "Size of the store's file system.", "store"),
		free:      desc("store_free_bytes", "What is free of it.", "store"),
		usable:    desc("store_usable", "1 if the store can be used and answers.", "store"),
		condition: desc("leg_condition", "1 for the condition of the leg.", append(leg, "condition")...),
		read:      desc("leg_check_duration_seconds", "Time that the latest check took.", leg...),
		used:      desc("leg_used_bytes", "What the leg occupies.", leg...),
		sess:      desc("leg_sessions", "Open sessions to the leg.", leg...),
		diskErrors: desc("disk_errors_total", "I/O errors, of checks and as the kernel counts them.", "store", "device",
			"seen_by"),
		diskRead: desc("disk_read_seconds", "Median of the last check reads.", "store", "device"),
		diskSmart: desc("disk_smart_status", "0 well, 1 worn, 2 failing. Absent without SMART.", "store",
			"device"),
		diskWear:        desc("disk_wear_ratio", "How much of its life is used up, by SMART.", "store", "device"),
		diskHeat:        desc("disk_temperature_celsius", "Temperature of the disk, by SMART.", "store", "device"),
		refusedLogins:   desc("leg_refused_logins_total", "Logins with an epoch that was superseded.", leg...),
		refusedCommands: desc("leg_refused_commands_total", "Commands that the closed gate refused.", leg...),
	}
}

// disk tells what is known of the disk below a store.
func (c *collector) disk(store string, d *peer.DiskStatus, tell func(prometheus.ValueType, *prometheus.Desc, float64,
	...string)) {
	tell(prometheus.CounterValue, c.diskErrors, float64(d.FailedChecks), store, d.Device, "check")
	tell(prometheus.CounterValue, c.diskErrors, float64(d.KernelErrors), store, d.Device, "kernel")
	tell(prometheus.GaugeValue, c.diskRead, float64(d.ReadMicros)/1e6, store, d.Device)
	if s := d.Smart; s != nil {
		verdict := 0.0
		switch {
		case s.Failing:
			verdict = 2
		case len(s.Faults) > 0:
			verdict = 1
		}
		tell(prometheus.GaugeValue, c.diskSmart, verdict, store, d.Device)
		tell(prometheus.GaugeValue, c.diskWear, float64(s.WearPercent)/100, store, d.Device)
		tell(prometheus.GaugeValue, c.diskHeat, float64(s.TemperatureC), store, d.Device)
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.total, c.free, c.usable, c.condition, c.read, c.used, c.sess,
		c.refusedLogins, c.refusedCommands, c.diskErrors, c.diskRead, c.diskSmart, c.diskWear, c.diskHeat} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	tell := func(kind prometheus.ValueType, d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for _, s := range c.manager.Status() {
		name, usable := s.Name, 1.0
		if name == "" {
			name = s.ID.String() // legs of a store that this node does not have
		}
		if s.Error != "" {
			usable = 0
		}
		tell(prometheus.GaugeValue, c.total, float64(s.TotalBytes), name)
		tell(prometheus.GaugeValue, c.free, float64(s.FreeBytes), name)
		tell(prometheus.GaugeValue, c.usable, usable, name)
		if s.Disk != nil {
			c.disk(name, s.Disk, tell)
		}
		for _, l := range s.Legs {
			id := l.ID.String()
			tell(prometheus.GaugeValue, c.condition, 1, name, id, string(l.State))
			tell(prometheus.GaugeValue, c.read, float64(l.ReadMicros)/1e6, name, id)
			tell(prometheus.GaugeValue, c.used, float64(l.UsedBytes), name, id)
			tell(prometheus.GaugeValue, c.sess, float64(l.Sessions), name, id)
			tell(prometheus.CounterValue, c.refusedLogins, float64(l.RefusedLogins), name, id)
			tell(prometheus.CounterValue, c.refusedCommands, float64(l.RefusedCommands), name, id)
		}
	}
}
