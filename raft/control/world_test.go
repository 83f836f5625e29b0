package control

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// world is a cluster in which time, heartbeats and conditions are what a script says, and the state
// is the real one. Every identity is drawn from a counter.
type world struct {
	t        *testing.T
	state    *raft.State
	facts    *Facts
	now      time.Time
	ids      uint64
	silent   map[string]bool // nodes that send no heartbeats
	engines  map[string]bool // nodes whose engines send heartbeats although the daemon is silent
	seq      uint64
	domains  map[string]map[string]*DomainFact // by node and domain
	broken   map[string]Condition              // of legs, as volume/node
	running  map[string]*EngineFact            // by volume
	stores   map[string]int64                  // free bytes, by node
	unusable map[string]bool                   // nodes whose store cannot be used
	hangs    map[string]bool                   // volumes whose engine is stopped where it is
	every    time.Duration                     // the scrub schedule of volumes that are made
	braked   string
	members  []volume.NodeID
	learners []volume.NodeID
	caughtUp []volume.NodeID
	mute     []volume.NodeID
	suspects map[string]bool // nodes that are thought to be suspect
	waitLeft time.Duration   // of the wait for reads of the host before
	disks    map[string]*DiskFact
	selves   map[string]NodeHealth
	images   map[string]map[volume.Digest]*ImageFact // by node
	old      map[string]bool                         // nodes whose daemon understands the first cluster version only

	told map[string]bool // storage nodes that have told which legs are on their disks since a restore
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, state: raft.NewState(), facts: NewFacts(), now: time.Unix(1_800_000_000, 0),
		silent: map[string]bool{}, engines: map[string]bool{}, domains: map[string]map[string]*DomainFact{},
		broken: map[string]Condition{}, running: map[string]*EngineFact{}, stores: map[string]int64{},
		disks: map[string]*DiskFact{}, selves: map[string]NodeHealth{}, told: map[string]bool{},
		images:   map[string]map[volume.Digest]*ImageFact{},
		unusable: map[string]bool{}, hangs: map[string]bool{}, suspects: map[string]bool{},
		old: map[string]bool{},
	}
	w.apply(raft.Command{InitCluster: &raft.InitCluster{
		Name: "c", ID: volume.ClusterID{UUID: w.newID()}, Incarnation: volume.ClusterID{UUID: w.newID()},
	}})
	return w
}

func (w *world) newID() (id volume.UUID) {
	w.ids++
	binary.BigEndian.PutUint64(id[8:], w.ids)
	id[0] = byte(w.ids) // so that the short forms differ
	return id
}

func (w *world) apply(c raft.Command) raft.Result {
	w.t.Helper()
	c.At = w.now
	r := w.state.Apply(c)
	w.facts.Observe(w.state, w.now)
	return r
}

func (w *world) must(c raft.Command) {
	w.t.Helper()
	if r := w.apply(c); r.Err != nil {
		w.t.Fatalf("%s: %s", c.Name(), r.Err)
	}
}

func (w *world) node(name string) *raft.Node {
	w.t.Helper()
	if n := w.state.NodeByName(name); n != nil {
		return n
	}
	for _, n := range w.state.Nodes {
		if n.Name == name {
			return n
		}
	}
	w.t.Fatalf("no node %s", name)
	return nil
}

func (w *world) volume(name string) *raft.Volume {
	w.t.Helper()
	v := w.state.VolumeByName(name)
	require.NotNil(w.t, v, name)
	return v
}

func (w *world) condition(id volume.NodeID) raft.Condition {
	n := w.state.Nodes[id]
	switch {
	case n == nil || w.silent[id.String()] || w.silent[n.Name] && !w.engines[n.Name]:
		return raft.NodeDead
	case w.suspects[n.Name]:
		return raft.NodeSuspect
	}
	return raft.NodeAlive
}

func (w *world) view() *View {
	v := &View{
		State: w.state, Facts: w.facts, Now: w.now, Condition: w.condition, Braked: w.braked,
		Members: w.members, Learners: w.learners, CaughtUp: w.caughtUp, Mute: w.mute,
		NewID: w.newID, Timing: DefaultTiming(),
	}
	v.Silent = func(id volume.NodeID) time.Duration {
		if heard := w.facts.Nodes[id]; heard != nil {
			return w.now.Sub(heard.Heard)
		}
		return 0
	}
	v.WaitLeft = func(volume.ID, volume.Epoch) time.Duration { return w.waitLeft }
	if w.braked == "" {
		for _, n := range w.state.SortedNodes() {
			if n.Has(raft.RoleHost) && w.condition(n.ID) == raft.NodeDead {
				v.Dead = append(v.Dead, n.ID)
			}
		}
	}
	return v
}

// beat makes every node that is not silent send its heartbeat.
func (w *world) beat() {
	w.seq++
	for _, n := range w.state.SortedNodes() {
		if w.silent[n.Name] || w.silent[n.ID.String()] {
			continue
		}
		r := NodeReport{Node: n.ID, Start: 1, Seq: w.seq, PID: 100, Legs: map[volume.LegID]*LegFact{},
			Domains: map[string]*DomainFact{}, Health: w.selves[n.Name],
			Knows: raft.VersionLatest}
		if w.old[n.Name] {
			r.Knows = raft.VersionFirst
		}
		if w.told[n.Name] {
			r.Told = w.state.Cluster.Incarnation
		}
		for _, st := range n.Stores {
			free, ok := w.stores[n.Name]
			if !ok {
				free = 100 << 30
			}
			fact := StoreFact{ID: st.ID, Name: st.Name, TotalBytes: 200 << 30, FreeBytes: free,
				Disk: w.disks[n.Name]}
			if w.unusable[n.Name] {
				fact.Error = "input/output error"
			}
			r.Stores = append(r.Stores, fact)
		}
		for _, v := range w.state.SortedVolumes() {
			for _, l := range v.Legs {
				if l.Node == n.ID && l.Provisioned {
					condition := ConditionOK
					if c, ok := w.broken[v.Name+"/"+n.Name]; ok {
						condition = c
					}
					r.Legs[l.ID] = &LegFact{Condition: condition, Volume: v.ID, UsedBytes: 256 << 20}
				}
			}
			if e := w.running[v.Name]; e != nil && e.Node == n.ID {
				r.Engines = append(r.Engines, *e)
			}
		}
		r.Images = w.imageFacts(n.Name)
		for name, d := range w.domains[n.Name] {
			fact := *d
			r.Domains[name] = &fact
		}
		w.facts.HearNode(w.now, r)
	}
	for name, e := range w.running {
		if n := w.state.Nodes[e.Node]; n != nil && (w.engines[n.Name] || !w.silent[n.Name]) && !w.hangs[name] &&
			!e.State.over() {
			w.facts.HearEngine(w.now, *e)
		}
	}
}

// advance lets time pass with heartbeats every half second.
func (w *world) advance(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(500 * time.Millisecond)
		w.facts.Observe(w.state, w.now)
		w.beat()
	}
}

// run applies what the controllers say until they say nothing, and prints it.
func (w *world) run() string {
	var out strings.Builder
	w.facts.Observe(w.state, w.now)
	w.beat()
	for round := 0; ; round++ {
		require.Less(w.t, round, 10, "controllers never come to rest:\n%s", out.String())
		commands := Controllers(w.view())
		if len(commands) == 0 {
			break
		}
		refused := true
		for _, c := range commands {
			if c.RecordEvent != nil {
				continue
			}
			r := w.apply(c)
			verdict := ""
			if r.Err != nil {
				verdict = " REFUSED: " + r.Err.Message
			} else {
				refused = false
			}
			fmt.Fprintf(&out, "%s%s\n", w.describe(c), verdict)
		}
		if refused {
			break
		}
	}
	if out.Len() == 0 {
		return "nothing"
	}
	return out.String()
}

func (w *world) describe(c raft.Command) string {
	name := func(id volume.ID) string {
		if v := w.state.Volumes[id]; v != nil {
			return v.Name
		}
		return "?"
	}
	switch {
	case c.PlaceDomain != nil:
		return fmt.Sprintf("place %s on %s (%s)", c.PlaceDomain.Name, w.state.NodeName(c.PlaceDomain.Host),
			c.PlaceDomain.Reason)
	case c.BeginAttach != nil:
		kind := "attach"
		if c.BeginAttach.Maintenance {
			kind = "maintain"
		}
		if c.BeginAttach.Filling {
			kind = "fill"
		}
		return fmt.Sprintf("%s %s on %s after epoch %s", kind, name(c.BeginAttach.Volume),
			w.state.NodeName(c.BeginAttach.Host), c.BeginAttach.After)
	case c.RequestDetach != nil:
		return "want detached: " + name(c.RequestDetach.Volume)
	case c.Detach != nil:
		return fmt.Sprintf("detach %s clean=%t", name(c.Detach.Volume), c.Detach.Clean)
	case c.ReplaceLeg != nil:
		return fmt.Sprintf("replace a leg of %s by one on %s", name(c.ReplaceLeg.Volume),
			w.state.NodeName(c.ReplaceLeg.New.Node))
	case c.KeepLeg != nil:
		_, l := w.state.LegByID(c.KeepLeg.Leg)
		return fmt.Sprintf("the leg of %s on %s keeps its place", name(c.KeepLeg.Volume), w.state.NodeName(l.Node))
	case c.RemoveNode != nil:
		return "forget a node"
	case c.EndDrill != nil:
		return fmt.Sprintf("end drill %d: %s %s", c.EndDrill.ID, c.EndDrill.Result, c.EndDrill.Message)
	case c.ReturnDrill != nil:
		return fmt.Sprintf("drill %d goes back to %s", c.ReturnDrill.ID, w.state.NodeName(c.ReturnDrill.Place.Host))
	case c.PlaceBlob != nil:
		return w.describePlace(c.PlaceBlob)
	case c.BeginMigration != nil:
		return fmt.Sprintf("migrate %s to %s (%s)", c.BeginMigration.Name, w.state.NodeName(c.BeginMigration.Host),
			c.BeginMigration.Reason)
	case c.AbortMigration != nil:
		return fmt.Sprintf("abort migration %d (%s)", c.AbortMigration.ID, c.AbortMigration.Reason)
	case c.GrantMigration != nil:
		return fmt.Sprintf("grant migration %d takeover=%t", c.GrantMigration.ID, c.GrantMigration.Takeover)
	case c.EndOperation != nil:
		return fmt.Sprintf("end operation %d:%s", c.EndOperation.ID, stageText(c.EndOperation.Stages))
	}
	return c.Name()
}

func (w *world) health() string {
	status, findings := Judge(w.view())
	out := string(status) + "\n"
	for _, f := range findings {
		object := f.Object
		if strings.HasPrefix(object, "leg/") {
			object = "leg"
		}
		out += fmt.Sprintf("%s %s %s: %s\n", f.Status, object, f.Kind, f.Message)
		if f.Cause != "" {
			out += "    because " + f.Cause + "\n"
		}
		out += "    next: " + f.Next + "\n"
	}
	return out
}

func (w *world) show() string {
	var out strings.Builder
	for _, v := range w.state.SortedVolumes() {
		held := "nobody"
		if v.Attach != nil {
			held = w.state.NodeName(v.Attach.Host)
			if v.Attach.Maintenance {
				held += " (maintenance)"
			}
			if v.Attach.Filling {
				held += " (filling)"
			}
			if v.Attach.Detaching {
				held += " (detaching)"
			}
		}
		fmt.Fprintf(&out, "%s %s epoch=%s held by %s:", v.Name, v.Phase, v.Epoch, held)
		for _, l := range v.Legs {
			fmt.Fprintf(&out, " %s=%s", w.state.NodeName(l.Node), l.State)
			if l.Retiring {
				out.WriteString("(retiring)")
			}
		}
		out.WriteString("\n")
	}
	for _, d := range w.state.SortedDomains() {
		if d.Running {
			fmt.Fprintf(&out, "%s run %d on %s\n", d.Name, d.Run, w.state.NodeName(d.Host))
		} else {
			fmt.Fprintf(&out, "%s stopped\n", d.Name)
		}
	}
	return out.String()
}

// do executes one line of a script.
func (w *world) do(line string) {
	w.t.Helper()
	words := strings.Fields(line)
	args := map[string]string{}
	for _, word := range words[1:] {
		if key, value, ok := strings.Cut(word, "="); ok {
			args[key] = value
		}
	}
	arg := func(i int) string { require.Greater(w.t, len(words), i, line); return words[i] }
	switch words[0] {
	case "node":
		w.addNode(arg(1), strings.Split(arg(2), ","))
	case "volume":
		w.addVolume(arg(1), strings.Split(args["on"], ","))
	case "domain":
		w.addDomain(arg(1), args)
	case "start":
		v := w.view()
		w.must(v.Place(w.state.Domains[arg(1)], w.node(arg(2)).ID, "a script"))
	case "stop":
		w.must(raft.Command{StopDomain: &raft.StopDomain{Name: arg(1)}})
	case "attach":
		w.must(raft.Command{BeginAttach: &raft.BeginAttach{
			Volume: w.volume(arg(1)).ID, Host: w.node(arg(2)).ID, AttachID: volume.AttachID{UUID: w.newID()},
		}})
	case "renew": // as the host does when its engine is gone
		v := w.volume(arg(1))
		w.must(raft.Command{BeginAttach: &raft.BeginAttach{
			Volume: v.ID, Host: v.Attach.Host, AttachID: volume.AttachID{UUID: w.newID()}, Takeover: true,
			Maintenance: v.Attach.Maintenance, Renews: v.Attach.ID, After: v.Epoch,
		}})
	case "serve":
		w.serve(arg(1))
	case "engine":
		w.engine(arg(1), EngineState(arg(2)), strings.Join(words[3:], " "))
	case "detach":
		w.must(raft.Command{RequestDetach: &raft.RequestDetach{Volume: w.volume(arg(1)).ID}})
	case "detached":
		v := w.volume(arg(1))
		w.must(raft.Command{Detach: &raft.Detach{Volume: v.ID, Epoch: v.Epoch, Clean: true}})
		delete(w.running, v.Name)
	case "guest":
		run, err := strconv.ParseUint(args["run"], 10, 64)
		require.NoError(w.t, err)
		host := arg(2)
		if w.domains[host] == nil {
			w.domains[host] = map[string]*DomainFact{}
		}
		w.domains[host][arg(1)] = &DomainFact{Run: run, State: DomainState(arg(3))}
	case "forgets":
		delete(w.domains[arg(1)], arg(2))
	case "silent":
		w.silent[arg(1)] = true
	case "only-engines":
		w.silent[arg(1)], w.engines[arg(1)] = true, true
	case "returns":
		delete(w.silent, arg(1))
		delete(w.engines, arg(1))
	case "advance":
		d, err := time.ParseDuration(arg(1))
		require.NoError(w.t, err)
		w.advance(d)
	default:
		if !w.operationVerb(words, arg) && !w.drillVerb(words, arg) && !w.migrationVerb(words, arg) &&
			!w.cloneVerb(words, arg) &&
			!w.imageVerb(words, arg) {
			w.legVerb(words, arg)
		}
	}
	w.facts.Observe(w.state, w.now)
}

// legVerb executes the lines about legs, nodes that leave, and votes.
func (w *world) legVerb(words []string, arg func(int) string) {
	w.t.Helper()
	switch words[0] {
	case "leg": // leg VOLUME NODE missing|bad|ok
		w.broken[arg(1)+"/"+arg(2)] = Condition(arg(3))
	case "lost":
		v := w.volume(arg(1))
		w.must(raft.Command{LegLost: &raft.LegLost{Volume: v.ID, Leg: w.leg(v, arg(2)).ID,
			Reason: "no label"}})
	case "provisioned":
		v := w.volume(arg(1))
		w.must(raft.Command{LegProvisioned: &raft.LegProvisioned{Volume: v.ID, Leg: w.leg(v, arg(2)).ID}})
	case "removed": // removed VOLUME NODE [retiring]
		v := w.volume(arg(1))
		l := w.leg(v, arg(2))
		if len(words) > 3 {
			l = v.Legs[slices.IndexFunc(v.Legs, func(l *raft.Leg) bool { return l.Retiring })]
		}
		w.must(raft.Command{RemoveLeg: &raft.RemoveLeg{
			Volume: v.ID, Epoch: v.Epoch, Leg: l.ID, SeenCfg: v.CfgVer, Reason: "a script"}})
	case "added":
		w.join(w.volume(arg(1)), arg(2))
	case "copying": // copying VOLUME NODE DONE TOTAL
		w.copying(arg)
	case "delete": // delete VOLUME
		w.must(raft.Command{DeleteVolume: &raft.DeleteVolume{Volume: w.volume(arg(1)).ID}})
	case "deleted":
		for leg, tomb := range w.state.Tombs {
			if w.state.NodeName(tomb.Node) == arg(1) {
				w.must(raft.Command{LegDeleted: &raft.LegDeleted{Leg: leg}})
			}
		}
	case "retire":
		c := &raft.RetireNode{Node: w.node(arg(1)).ID}
		if len(words) > 3 {
			c.By = w.heir(arg(3)).ID
		}
		w.must(raft.Command{RetireNode: c})
	case "locate": // locate NODE ZONE
		w.must(raft.Command{SetLocation: &raft.SetLocation{Node: w.node(arg(1)).ID, Zone: &words[2]}})
	case "drain":
		w.must(raft.Command{RetireNode: &raft.RetireNode{Node: w.node(arg(1)).ID, Stay: true}})
	case "keep":
		w.must(raft.Command{KeepNode: &raft.KeepNode{Node: w.node(arg(1)).ID}})
	case "replace-after": // replace-after TIME [VOLUME]
		c := &raft.SetReplaceAfter{After: -1}
		if arg(1) != "never" {
			d, err := time.ParseDuration(arg(1))
			require.NoError(w.t, err)
			c.After = d
		}
		if len(words) > 2 {
			c.Volume = w.volume(arg(2)).ID
		}
		w.must(raft.Command{SetReplaceAfter: c})
	case "free": // free NODE GIB
		gib, err := strconv.ParseInt(arg(2), 10, 64)
		require.NoError(w.t, err)
		w.stores[arg(1)] = gib << 30
	case "unusable":
		w.unusable[arg(1)] = true
	case "rebalance":
		w.must(raft.Command{RequestRebalance: &raft.RequestRebalance{Request: w.newID()}})
	case "full":
		w.stores[arg(1)] = 0
	case "votes":
		w.members = nil
		for _, name := range words[1:] {
			w.members = append(w.members, w.node(name).ID)
		}
	case "learners": // names of nodes, in capitals if they have the log
		for _, name := range words[1:] {
			id := w.node(strings.ToLower(name)).ID
			w.learners = append(w.learners, id)
			if name != strings.ToLower(name) {
				w.caughtUp = append(w.caughtUp, id)
			}
		}
	case "hangs":
		w.hangs[arg(1)] = true
	case "mute":
		w.mute = append(w.mute, w.node(arg(1)).ID)
	case "wiped": // the machine comes back as another node of the same name; the old one stays silent
		old := w.node(arg(1))
		w.silent[old.ID.String()] = true
		delete(w.silent, old.Name)
		w.addNode(old.Name, []string{"storage"})
	case "unmade": // unmade VOLUME NODE: a volume whose leg on that node is not made
		w.addVolume(arg(1), []string{arg(2)})
		v := w.volume(arg(1))
		v.Phase, v.Legs[0].Provisioned, v.Legs[0].State = volume.PhaseProvisioning, false, volume.LegRebuilding
	case "restored": // without a backup, and so without the CA
		w.state.Cluster.RestoreGen++
	case "from_backup": // the coordinators go on from what they know now, as a backup
		restored, err := raft.Restored(w.state, raft.Restoration{Incarnation: volume.ClusterID{UUID: volume.UUID{9}},
			Generation: w.state.Cluster.RestoreGen + 1, At: w.now, From: "a backup"})
		require.NoError(w.t, err)
		w.state = restored
	case "told": // told NODE …: they have told which legs are on their disks
		for _, name := range words[1:] {
			w.told[name] = true
		}
	case "found": // the operator says that every leg was found
		w.must(raft.Command{EndRebuild: &raft.EndRebuild{}})
	case "frozen":
		w.volume(arg(1)).Phase = volume.PhaseFrozen
	case "disk", "self", "process":
		w.selfVerb(words, arg)
	case "suspect":
		w.suspects[arg(1)] = true
	case "waits": // of T_read is left
		d, err := time.ParseDuration(arg(1))
		require.NoError(w.t, err)
		w.waitLeft = d
	case "banned": // banned VOLUME NODE DURATION: the engine does not try that leg for so long
		d, err := time.ParseDuration(arg(3))
		require.NoError(w.t, err)
		id, e := w.leg(w.volume(arg(1)), arg(2)).ID, w.running[arg(1)]
		e.Legs = append(slices.DeleteFunc(e.Legs, func(l EngineLeg) bool { return l.ID == id }),
			EngineLeg{ID: id, State: "down", Error: "connection refused", BannedFor: d})
	case "braked":
		w.braked = strings.Join(words[1:], " ")
	default:
		w.t.Fatalf("unknown verb %q", words[0])
	}
}

func (w *world) heir(name string) *raft.Node {
	for _, n := range w.state.Nodes {
		if n.Name == name && n.Pending {
			return n
		}
	}
	return w.node(name)
}

func (w *world) leg(v *raft.Volume, node string) *raft.Leg {
	w.t.Helper()
	i := slices.IndexFunc(v.Legs, func(l *raft.Leg) bool {
		return w.state.NodeName(l.Node) == node && !l.Retiring
	})
	if i < 0 {
		i = slices.IndexFunc(v.Legs, func(l *raft.Leg) bool { return w.state.NodeName(l.Node) == node })
	}
	require.GreaterOrEqual(w.t, i, 0, "%s has no leg on %s", v.Name, node)
	return v.Legs[i]
}

func (w *world) addNode(name string, roles []string) {
	n := raft.Node{ID: volume.NodeID{UUID: w.newID()}, Name: name, API: name + ":1", Raft: name + ":2",
		Portal:  name + ":3",
		ChapKey: volume.NodeKey{1}}
	for _, r := range roles {
		n.Roles = append(n.Roles, raft.Role(r))
	}
	if n.Has(raft.RoleStorage) {
		n.Stores = []raft.Store{{ID: volume.StoreID{UUID: w.newID()}, Name: "disk1"}}
	}
	w.must(raft.Command{RegisterNode: &raft.RegisterNode{Node: n}})
}

func (w *world) addVolume(name string, nodes []string) {
	w.addSet(name, volume.Mirror(len(nodes)), nodes)
}

func (w *world) addSet(name string, layout volume.Layout, nodes []string) {
	c := &raft.CreateVolume{ID: volume.ID{UUID: w.newID()}, Name: name, SizeBytes: 1 << 30,
		Layout: layout, DataGen: w.newID(), ScrubEvery: w.every}
	for i, node := range nodes {
		n := w.node(node)
		c.Legs = append(c.Legs, raft.NewLeg{ID: volume.LegID{UUID: w.newID()}, Node: n.ID,
			Store: n.Stores[0].ID, Slot: i})
	}
	w.must(raft.Command{CreateVolume: c})
	for _, l := range c.Legs {
		w.must(raft.Command{LegProvisioned: &raft.LegProvisioned{Volume: c.ID, Leg: l.ID}})
	}
}

func (w *world) addDomain(name string, args map[string]string) {
	spec := raft.DomainSpec{Name: name, Driver: "exec", Exec: &raft.ExecSpec{Command: []string{"guest"}},
		AntiAffinity: args["group"]}
	if driver := args["driver"]; driver != "" {
		spec.Driver, spec.Exec = driver, nil
	}
	for _, v := range strings.Split(args["volumes"], ",") {
		spec.Volumes = append(spec.Volumes, raft.DomainVolume{Name: v})
	}
	spec.Policy = guest.Policy{Restart: guest.Restart(args["restart"]), Failover: guest.Failover(args["failover"])}
	if args["order"] != "" {
		order, err := strconv.Atoi(args["order"])
		require.NoError(w.t, err)
		spec.Policy.StartOrder = order
	}
	if args["root"] != "" {
		spec.Machine.Boot = &guest.Boot{RootImage: "image:" + args["root"]}
	}
	if args["hosts"] != "" {
		spec.Hosts = strings.Split(args["hosts"], ",")
	}
	w.must(raft.Command{DefineDomain: &raft.DefineDomain{ID: w.newID(), Spec: spec}})
}

// serve lets the engine of the volume's current attachment fence what it can reach, activate and
// serve.
func (w *world) serve(name string) {
	w.t.Helper()
	v := w.volume(name)
	for _, l := range v.Legs {
		if n := w.state.Nodes[l.Node]; l.Provisioned && l.State != volume.LegLost && n != nil &&
			!w.silent[n.Name] && !w.silent[n.ID.String()] {
			w.fence(v, l)
		}
	}
	w.must(raft.Command{Activate: &raft.Activate{Volume: v.ID, Epoch: v.Epoch, Waited: true}})
	w.engine(name, EngineServing, "")
}

func (w *world) fence(v *raft.Volume, l *raft.Leg) {
	w.t.Helper()
	v = w.state.Volumes[v.ID]
	label := volume.Label{
		Incarnation: w.state.Cluster.Incarnation, VolumeID: v.ID, VolumeName: v.Name, LegID: l.ID,
		StoreID: l.Store,
		DataGen: v.DataGen, Layout: v.Layout, Slot: l.Slot, Durability: v.Durability, SizeBytes: v.SizeBytes,
		FenceEpoch: v.Epoch, AttachID: v.Attach.ID, Config: v.Config(),
	}
	if label.Config.CfgVer > 0 && !label.Config.Contains(l.ID) {
		label.Config = volume.Config{CfgVer: l.LastISRCfg}
	}
	w.must(raft.Command{RecordFence: &raft.RecordFence{Volume: v.ID, Epoch: v.Epoch, Leg: l.ID,
		Report: volume.LegReport{Label: label, Instance: 1}}})
}

// join lets the engine bring a leg in sync.
func (w *world) join(v *raft.Volume, node string) {
	w.t.Helper()
	l := w.leg(v, node)
	w.fence(v, l)
	v = w.state.Volumes[v.ID]
	w.must(raft.Command{AddLeg: &raft.AddLeg{
		Volume: v.ID, Epoch: v.Epoch, CfgVer: v.CfgVer, Leg: l.ID, Store: l.Store, Instance: 1}})
}

func (w *world) engine(name string, state EngineState, reason string) {
	w.t.Helper()
	v := w.volume(name)
	require.NotNil(w.t, v.Attach, "%s is not attached", name)
	if state == "vanishes" {
		delete(w.running, name)
		return
	}
	e := &EngineFact{Node: v.Attach.Host, Volume: v.ID, Epoch: v.Epoch, AttachID: v.Attach.ID, PID: 200,
		State:  state,
		Reason: reason, Exports: []volume.Offer{{Type: "nbd", URL: "nbd+unix:///" + name}}, Began: w.now}
	if state.Serves() {
		for i, stage := range []string{raft.StageFenced, raft.StageActivated, raft.StageConfigured, raft.StageServing} {
			e.Stages = append(e.Stages, Stage{stage, time.Duration(i+1) * 10 * time.Millisecond})
		}
	}
	for _, l := range v.Legs {
		if l.State == volume.LegInSync {
			e.Legs = append(e.Legs, EngineLeg{ID: l.ID, State: "in_sync"})
		}
	}
	w.running[name] = e
	if state.over() {
		w.beat()
	}
}

func (w *world) copying(arg func(int) string) {
	w.t.Helper()
	v := w.volume(arg(1))
	done, err := strconv.ParseInt(arg(3), 10, 64)
	require.NoError(w.t, err)
	total, err := strconv.ParseInt(arg(4), 10, 64)
	require.NoError(w.t, err)
	e := w.running[v.Name]
	e.Legs = append(e.Legs, EngineLeg{ID: w.leg(v, arg(2)).ID, State: "joining", DoneBytes: done,
		CopyBytes: total})
	w.beat()
}

// TestScripts runs the scenarios of testdata. In a "do" block each line is an event; the answer is
// what the controllers do about them all. -rewrite writes the expected answers anew.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := newWorld(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			w.t = t
			switch d.Cmd {
			case "do":
				for line := range strings.Lines(d.Input) {
					if line = strings.TrimSpace(line); line != "" {
						w.do(line)
					}
				}
				return w.run()
			case "health":
				w.checkWhy() // also what no script asks for
				return w.health()
			case "what-if":
				return w.whatIf(strings.TrimSpace(d.Input))
			case "state":
				return w.show()
			case "images":
				return w.showBlobs()
			case "clones":
				return w.clones()
			case "operations":
				return w.operations()
			case "drills":
				return w.drills()
			case "unfit": // why a drill of a domain is refused
				return w.unfit(strings.TrimSpace(d.Input))
			case "why":
				return w.why(strings.TrimSpace(d.Input))
			case "strands": // what would have nowhere to go if the node were emptied
				return cmp.Or(StrandedMessage(w.view().Strands(w.node(strings.TrimSpace(d.Input)).ID, nil)), "nothing")
			case "left": // what has still to leave a node
				return cmp.Or(w.view().Left(w.node(strings.TrimSpace(d.Input))), "nothing")
			}
			t.Fatalf("unknown command %q", d.Cmd)
			return ""
		})
	})
}
