package coordinator

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
)

// meters count what a coordinator does. What it is, its collector reads when it is asked.
type meters struct {
	commands   *prometheus.CounterVec // by command and outcome
	commits    prometheus.Histogram
	heartbeats *prometheus.CounterVec // by who sent them
	events     *prometheus.CounterVec // by kind and severity
	eventsSeen uint64                 // seq of the last that was counted; Coordinator.mu guards it
	eventsInit bool
}

func newMeters() *meters {
	return &meters{
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_coordinator_commands_total",
			Help: "Commands that this coordinator proposed, by what became of them."}, []string{"command", "outcome"}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "holdfast_coordinator_commit_duration_seconds",
			Help:    "Time from the proposal of a command until it was committed and applied here.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}),
		heartbeats: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_coordinator_heartbeats_total",
			Help: "Heartbeats that were heard, by who sent them: node, engine, coordinator."}, []string{"from"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_events_total",
			Help: "Events that were committed while this coordinator ran. domain_moved counts failovers."},
			[]string{"kind", "severity"}),
	}
}

// proposed counts a command that was proposed and its outcome.
func (m *meters) proposed(c raft.Command, took time.Duration, r raft.Result, err error) {
	outcome := "accepted"
	switch {
	case err != nil:
		outcome = "failed"
	case r.Err != nil:
		outcome = "refused"
	}
	m.commands.WithLabelValues(c.Name(), outcome).Inc()
	if err == nil {
		m.commits.Observe(took.Seconds())
	}
}

// observe counts the events that are new in a state. The caller holds Coordinator.mu.
func (m *meters) observe(s *raft.State) {
	if !m.eventsInit {
		m.eventsInit, m.eventsSeen = true, s.LastSeq // what was before this process is not its news
	}
	for i := len(s.Events) - 1; i >= 0 && s.Events[i].Seq > m.eventsSeen; i-- {
		m.events.WithLabelValues(s.Events[i].Kind, s.Events[i].Severity).Inc()
	}
	m.eventsSeen = max(m.eventsSeen, s.LastSeq)
}

// Collectors returns the metrics of the role, to be registered once.
func (c *Coordinator) Collectors() []prometheus.Collector {
	return []prometheus.Collector{c.meters.commands, c.meters.commits, c.meters.heartbeats, c.meters.events,
		newCollector(c)}
}

// collector reads what the coordinator is when it is asked.
type collector struct {
	c    *Coordinator
	raft map[string]*prometheus.Desc // of raft's own figures, by name

	leader, objects, members, lag, nodeUp, volumeHealth, legsInSync, legs, copied *prometheus.Desc
	health, findings, operations, braked                                          *prometheus.Desc
	drillWorked, drillResult, drillRead                                           *prometheus.Desc
	imageCopies, imageWanted                                                      *prometheus.Desc
}

func newCollector(c *Coordinator) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("holdfast_"+name, help, labels, nil)
	}
	leads := " Only the leader tells it."
	return &collector{
		c: c,
		raft: map[string]*prometheus.Desc{
			"term":     desc("coordinator_term", "The term of raft."),
			"last":     desc("coordinator_log_last_index", "The last entry of its log."),
			"commit":   desc("coordinator_commit_index", "The last entry that it knows to be committed."),
			"applied":  desc("coordinator_applied_index", "The last entry that it has applied."),
			"snapshot": desc("coordinator_snapshot_bytes", "Size of the latest snapshot: that of the state then."),
		},
		leader:       desc("coordinator_leader", "1 if this coordinator leads."),
		objects:      desc("cluster_objects", "What the cluster has, by kind: node, volume, domain.", "kind"),
		members:      desc("coordinator_members", "Coordinators by kind: voter, learner, mute."+leads, "kind"),
		lag:          desc("coordinator_follower_lag_entries", "Entries that a coordinator lacks."+leads, "node"),
		nodeUp:       desc("node_up", "1 if the node counts as alive, 0 if not."+leads, "node"),
		volumeHealth: desc("volume_health", "0 healthy, 1 degraded, 2 at risk, 3 down."+leads, "volume"),
		legsInSync:   desc("volume_legs_in_sync", "Legs in the committed in-sync list."+leads, "volume"),
		legs:         desc("volume_legs_wanted", "Legs that the layout has."+leads, "volume"),
		copied: desc("volume_leg_copied_ratio", "How far a leg is that is not in sync, 0 to 1."+leads, "volume", "leg",
			"node"),
		health:      desc("health_status", "0 healthy, 1 degraded, 2 at risk, 3 down, 4 no quorum. Of the leader."),
		findings:    desc("health_findings", "Findings of health."+leads, "kind", "severity"),
		operations:  desc("operations", "Long work that runs, by verb."+leads, "verb"),
		drillWorked: desc("drill_worked_timestamp_seconds", "When the latest drill began that worked."+leads, "object"),
		drillResult: desc("drill_last_result", "Of the latest drill that ended: 0 ok, 1 slow, 2 failed."+leads,
			"object"),
		drillRead: desc("drill_first_read_seconds", "Decision to first read of the latest that worked."+leads,
			"object"),
		imageCopies: desc("image_copies", "Nodes that have a version of an image and answer."+leads, "image",
			"version"),
		imageWanted: desc("image_copies_wanted", "Nodes that should, at the least."+leads, "image", "version"),
		braked:      desc("failover_braked", "1 if too many hosts vanished at once for a failover."+leads),
	}
}

// Describe implements prometheus.Collector.
func (x *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range x.raft {
		ch <- d
	}
	for _, d := range []*prometheus.Desc{x.leader, x.objects, x.members, x.lag, x.nodeUp, x.volumeHealth, x.legsInSync,
		x.legs, x.copied, x.health, x.findings, x.operations, x.braked,
		x.drillWorked, x.drillResult, x.drillRead, x.imageCopies, x.imageWanted} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (x *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s := x.c.raft.Stats()
	for name, v := range map[string]float64{"term": float64(s.Term), "last": float64(s.LastIndex),
		"commit": float64(s.CommitIndex), "applied": float64(s.AppliedIndex), "snapshot": float64(s.SnapshotBytes)} {
		gauge(x.raft[name], v)
	}
	leading := x.c.raft.Leading()
	gauge(x.leader, number(leading))
	x.c.look(func(v *control.View) {
		gauge(x.objects, float64(len(v.State.Nodes)), "node")
		gauge(x.objects, float64(len(v.State.Volumes)), "volume")
		gauge(x.objects, float64(len(v.State.Domains)), "domain")
		if leading {
			x.lead(v, gauge)
		}
	})
}

// lead tells what only the leader knows. The caller holds Coordinator.mu.
func (x *collector) lead(v *control.View, gauge func(*prometheus.Desc, float64, ...string)) {
	status, findings := x.c.judge(v)
	gauge(x.health, float64(status.Rank()))
	counts := map[[2]string]int{}
	for _, f := range findings {
		counts[[2]string{f.Kind, f.Severity}]++
	}
	for of, n := range counts {
		gauge(x.findings, float64(n), of[0], of[1])
	}
	gauge(x.braked, number(v.Braked != ""))
	gauge(x.members, float64(len(v.Members)), "voter")
	gauge(x.members, float64(len(v.Learners)), "learner")
	gauge(x.members, float64(len(v.Mute)), "mute")
	_, revision := x.c.raft.State()
	for id, f := range x.c.follows {
		if n := v.State.Nodes[id]; n != nil && !n.Retiring && !n.Pending {
			gauge(x.lag, float64(revision-min(revision, f.revision)), n.Name)
		}
	}
	running := map[string]int{"replace": 0, "remove": 0, "scrub": 0, "failover": 0}
	for _, n := range v.State.SortedNodes() {
		switch {
		case n.Pending:
		case n.Retiring && n.ReplacedBy.IsZero():
			running["remove"]++
		case n.Retiring: // the one that replaces it may have its name
			running["replace"]++
		default:
			gauge(x.nodeUp, number(v.Condition(n.ID) != raft.NodeDead && v.Facts.Nodes[n.ID] != nil), n.Name)
		}
	}
	for _, o := range v.State.Operations {
		if o.Running() {
			running["failover"]++
		}
	}
	for _, vol := range v.State.SortedVolumes() {
		if vol.Scrub != nil {
			running["scrub"]++
		}
		x.volume(v, vol, gauge)
	}
	for verb, n := range running {
		gauge(x.operations, float64(n), verb)
	}
	x.drills(v.State, gauge)
	for _, i := range v.State.SortedImages() {
		for _, version := range i.Versions {
			copies, number := v.BlobCopies(version.Digest), strconv.Itoa(version.Number)
			gauge(x.imageCopies, float64(copies.Living), i.Name, number)
			gauge(x.imageWanted, float64(copies.Wanted), i.Name, number)
		}
	}
}

// drills tells of each object when a drill last worked, and how the latest ended.
func (x *collector) drills(s *raft.State, gauge func(*prometheus.Desc, float64, ...string)) {
	ended, worked := map[string]*raft.Drill{}, map[string]*raft.Drill{}
	for _, d := range s.Drills { // the oldest first
		if d.Running() {
			continue
		}
		if ended[d.Object] = d; d.Worked() {
			worked[d.Object] = d
		}
	}
	for object, d := range ended {
		result := map[raft.DrillResult]float64{raft.DrillOK: 0, raft.DrillSlow: 1, raft.DrillFailed: 2}[d.Result]
		gauge(x.drillResult, result, object)
	}
	for object, d := range worked {
		gauge(x.drillWorked, float64(d.At.Unix()), object)
		if at, ok := raft.StageAt(d.Moves[0].Stages, raft.StageFirstRead); ok {
			gauge(x.drillRead, at.Seconds(), object)
		}
	}
}

func (x *collector) volume(v *control.View, vol *raft.Volume, gauge func(*prometheus.Desc, float64, ...string)) {
	gauge(x.volumeHealth, float64(control.JudgeVolume(v, vol).Rank()), vol.Name)
	gauge(x.legsInSync, float64(len(vol.InSync)), vol.Name)
	gauge(x.legs, float64(vol.Layout.Legs()), vol.Name)
	for _, l := range vol.Legs {
		if progress, _, _ := v.LegProgress(vol, l); progress < 1 {
			gauge(x.copied, progress, vol.Name, l.ID.String(), v.State.NodeName(l.Node))
		}
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
