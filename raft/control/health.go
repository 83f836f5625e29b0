package control

import (
	"cmp"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Status sums up how well something is.
type Status string

// The statuses, best first.
const (
	Healthy  Status = "healthy"
	Degraded Status = "degraded"  // redundancy or a node is missing; one more failure is survived
	AtRisk   Status = "at_risk"   // the next failure may stop something or lose data
	Down     Status = "down"      // something does not serve that should
	NoQuorum Status = "no_quorum" // the coordinators cannot decide
)

// Rank orders statuses: 0 is healthy, 4 is no quorum.
func (s Status) Rank() int {
	return slices.Index([]Status{Healthy, Degraded, AtRisk, Down, NoQuorum}, s)
}

// Finding is one thing that is not as it should be.
type Finding struct {
	Severity string // raft.SeverityInfo …
	Status   Status // what this finding alone makes of the cluster
	Object   string // volume/web1, leg/<id>, node/n2, domain/web1, cluster
	Kind     string // short and stable
	Message  string // a sentence
	Cause    string // why, if known
	Next     string // what happens next, or what to do
	Since    time.Time
	Progress float64 // 0 to 1, of a repair that runs
}

// Judge returns everything that is not as it should be now, worst first, and what that makes of the
// cluster.
func Judge(v *View) (Status, []Finding) {
	var findings []Finding
	findings = append(findings, v.judgeCluster()...)
	findings = append(findings, v.judgeVotes()...)
	findings = append(findings, v.judgeAuthority()...)
	findings = append(findings, v.judgeRestore()...)
	for _, n := range v.State.SortedNodes() {
		findings = append(findings, v.judgeNode(n)...)
	}
	for _, vol := range v.sortedVolumes() {
		findings = append(findings, v.judgeVolume(vol)...)
		for _, l := range vol.Legs {
			findings = append(findings, v.judgeLeg(vol, l)...)
		}
	}
	for _, d := range v.sortedDomains() {
		findings = append(findings, v.judgeDomain(d)...)
	}
	findings = append(findings, v.judgeImages()...)
	findings = append(findings, v.judgeJobs()...)
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Compare(b.Status.Rank(), a.Status.Rank())
	})
	return Worst(findings), findings
}

// Worst returns the worst status of findings.
func Worst(findings []Finding) Status {
	worst := Healthy
	for _, f := range findings {
		if f.Status.Rank() > worst.Rank() {
			worst = f.Status
		}
	}
	return worst
}

// Leaderless returns the finding of a coordinator that knows of no leader.
func Leaderless(members int) Finding {
	return Finding{
		Severity: raft.SeverityError, Status: NoQuorum, Object: "cluster", Kind: "no_quorum",
		Message: "no coordinator leads: nothing can be attached, moved or repaired",
		Cause: sprintf("fewer than %d of %d coordinators reach each other, or an election runs",
			members/2+1, members),
		Next: "attached volumes go on serving until a leg fails; start the coordinators that are down",
	}
}

func (v *View) judgeCluster() []Finding {
	if v.Braked == "" {
		return nil
	}
	return []Finding{{
		Severity: raft.SeverityError, Status: Down, Object: "cluster", Kind: "failover_braked",
		Message: v.Braked,
		Next:    "domains stay where they are until hosts return or an operator fails them over",
	}}
}

func (v *View) judgeNode(n *raft.Node) []Finding {
	object := "node/" + n.Name
	if n.Pending {
		return []Finding{{
			Severity: raft.SeverityInfo, Status: Healthy, Object: object, Kind: "node_pending",
			Message: sprintf("a new node %s waits to take the place of the one of that name", n.Name),
			Next:    sprintf("holdfast node replace %s %s", n.Name, n.Name),
		}}
	}
	var out []Finding
	heard := v.Facts.Nodes[n.ID]
	if n.Retiring {
		left := v.Left(n)
		f := Finding{
			Severity: raft.SeverityInfo, Status: Healthy, Object: object, Kind: "node_retiring",
			Message: sprintf("node %s is being replaced or removed", n.Name), Cause: left,
			Next: "its legs are copied to other nodes, then it is forgotten",
		}
		if n.Stays {
			f.Kind, f.Message = "node_drained", sprintf("node %s is drained: it gets nothing new", n.Name)
			if f.Next = "its legs are copied to other nodes"; left == "" {
				f.Next = sprintf("holdfast node undrain %s uses it again", n.Name)
			}
		}
		out = append(out, f)
	}
	switch condition := v.Condition(n.ID); {
	case condition == raft.NodeDead && n.Retiring:
	case condition == raft.NodeDead:
		f := Finding{
			Severity: raft.SeverityError, Status: Degraded, Object: object, Kind: "node_silent",
			Message: sprintf("node %s is silent", n.Name), Cause: "its heartbeats stopped",
			Next: sprintf("start it again, or holdfast node replace %s NEW", n.Name),
		}
		if heard != nil {
			f.Since = heard.Heard
		}
		out = append(out, f)
	case condition == raft.NodeAlive && (heard == nil || v.Now.Sub(heard.Heard) > 2*v.Timing.DaemonSilent):
		out = append(out, Finding{
			Severity: raft.SeverityWarning, Status: Degraded, Object: object, Kind: "daemon_silent",
			Message: sprintf("the daemon of node %s is silent, its engines are not", n.Name),
			Next:    "its guests go on; start the daemon again",
		})
	}
	if heard == nil {
		return out
	}
	for _, st := range heard.Stores {
		out = append(out, v.judgeStore(n, st)...)
	}
	return append(out, v.judgeSelf(n, heard)...)
}

// LegProgress returns how far a leg is in sync, 0 to 1, and the bytes of the copy that runs.
func (v *View) LegProgress(vol *raft.Volume, l *raft.Leg) (progress float64, done, total int64) {
	if l.State == volume.LegInSync {
		return 1, 0, 0
	}
	if e := v.engine(vol); e != nil {
		for _, el := range e.Legs {
			if el.ID == l.ID && el.CopyBytes > 0 {
				return min(1, float64(el.DoneBytes)/float64(el.CopyBytes)), el.DoneBytes, el.CopyBytes
			}
		}
	}
	return 0, 0, 0
}

func (v *View) judgeDomain(d *raft.Domain) []Finding {
	if !d.Running {
		return nil
	}
	fact := v.Domain(d)
	host := v.State.NodeName(d.Host)
	if fact != nil && v.Condition(d.Host) != raft.NodeDead {
		switch fact.State {
		case DomainRunning:
			return nil
		case DomainPaused:
			return []Finding{{
				Severity: raft.SeverityInfo, Status: Healthy, Object: "domain/" + d.Name, Kind: "domain_paused",
				Message: sprintf("domain %s is paused", d.Name), Since: fact.Since,
				Cause: sprintf("its guest stands still on %s, by order", host),
				Next:  "it goes on when it is told to: holdfast domain resume " + d.Name,
			}}
		}
	}
	f := Finding{
		Severity: raft.SeverityError, Status: Down, Object: "domain/" + d.Name, Kind: "domain_not_running",
		Message: sprintf("domain %s does not run", d.Name),
	}
	switch {
	case v.Condition(d.Host) == raft.NodeDead:
		f.Cause, f.Next = sprintf("its host %s is silent", host), v.failoverNext(d)
	case !v.speaks(d.Host) && v.Condition(d.Host) == raft.NodeAlive:
		return nil // its engines answer, so it runs; the node's own finding tells of the daemon
	case fact == nil:
		f.Cause, f.Next = sprintf("host %s has not started it yet", host), "it starts when its volumes serve"
	case fact.State.over():
		f.Cause, f.Next, f.Since = endOf(fact), "it is started again on "+host, fact.Since
		if fact.State == DomainExited && d.Spec.Policy.Restart == guest.RestartNever {
			f.Next = "it is stopped: its definition says that it is not started again"
		}
	default:
		f.Cause, f.Next, f.Since = sprintf("it is %s on %s", fact.State, host), "nothing is to be done",
			fact.Since
		if fact.Error != "" {
			f.Cause += ": " + fact.Error
		}
	}
	return []Finding{f}
}

// failoverNext says what becomes of a domain whose host is dead.
func (v *View) failoverNext(d *raft.Domain) string {
	to := v.ChooseHost(d.Spec, d.Host)
	switch {
	case v.Braked != "", d.Spec.Policy.Failover == guest.FailoverManual:
		return sprintf("nothing by itself: holdfast domain failover %s", d.Name)
	case to == nil:
		return sprintf("domain %s starts as soon as one of its hosts lives", d.Name)
	}
	return sprintf("domain %s is started on %s, which takes its volumes over", d.Name, to.Name)
}

func endOf(d *DomainFact) string {
	if d.Error == "" {
		return sprintf("its run %d is over: %s", d.Run, d.State)
	}
	return sprintf("its run %d is over: %s: %s", d.Run, d.State, d.Error)
}
