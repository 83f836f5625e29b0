package control

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// whatIf prints what a command would do, and then lets it happen: the forecast changes nothing, and what
// happens is what it said, place by place.
func (w *world) whatIf(line string) string {
	w.t.Helper()
	w.facts.Observe(w.state, w.now)
	w.beat()
	commands := w.order(strings.Fields(line))
	before, err := json.Marshal(w.state)
	require.NoError(w.t, err)
	plan, refusal := w.view().Foresee(commands...)
	after, err := json.Marshal(w.state)
	require.NoError(w.t, err)
	require.Equal(w.t, string(before), string(after), "a forecast changes nothing")
	if refusal != nil {
		for i, c := range commands {
			if r := w.apply(c); i == len(commands)-1 {
				require.Equal(w.t, refusal, r.Err, "what is foretold to be refused is refused")
			}
		}
		return "refused: " + refusal.Message + "\n"
	}
	did := w.happens(commands)
	slices.Sort(did)
	var told []string
	for _, s := range plan.Steps {
		if s.Action == ActionCopy || s.Action == ActionMove || s.Action == ActionMigrate {
			told = append(told, fmt.Sprintf("%s %s -> %s", s.Object, s.From, s.To))
		}
	}
	slices.Sort(told)
	require.Equal(w.t, told, did, "what happens is what was foretold")
	return printPlan(plan)
}

// happens applies commands, lets the controllers run until they rest, and tells which legs and domains
// went where because of them.
func (w *world) happens(commands []raft.Command) (did []string) {
	w.t.Helper()
	due := make(map[string]bool)
	for _, c := range w.view().consequences() {
		due[subject(c)] = true
	}
	for round := 0; len(commands) > 0; round++ {
		require.Less(w.t, round, 50, "the controllers never come to rest")
		for _, c := range commands {
			note := ""
			switch {
			case due[subject(c)]:
			case c.ReplaceLeg != nil:
				v := w.state.Volumes[c.ReplaceLeg.Volume]
				old, fresh := v.Leg(c.ReplaceLeg.Old), c.ReplaceLeg.New
				from, to := w.state.NodeName(old.Node), w.state.NodeName(fresh.Node)
				if old.Node == fresh.Node || c.ReplaceLeg.Ordered {
					from, to = w.view().storeName(old.Node, old.Store), w.view().storeName(fresh.Node, fresh.Store)
				}
				note = fmt.Sprintf("volume/%s %s -> %s", v.Name, from, to)
			case c.PlaceDomain != nil, c.BeginDrill != nil:
				place := c.PlaceDomain
				if c.BeginDrill != nil {
					place = &c.BeginDrill.Place
				}
				from := ""
				if d := w.state.Domains[place.Name]; d.Running {
					from = w.state.NodeName(d.Host)
				}
				note = fmt.Sprintf("domain/%s %s -> %s", place.Name, from, w.state.NodeName(place.Host))
			case c.BeginMigration != nil:
				d := w.state.Domains[c.BeginMigration.Name]
				note = fmt.Sprintf("domain/%s %s -> %s", d.Name, w.state.NodeName(d.Host),
					w.state.NodeName(c.BeginMigration.Host))
			}
			if r := w.apply(c); r.Err == nil && note != "" {
				did = append(did, note)
			}
		}
		w.finishMoves()
		w.finishMigrations()
		w.beat()
		commands = Controllers(w.view())
	}
	return did
}

// finishMigrations lets the guests that are migrated arrive.
func (w *world) finishMigrations() {
	w.t.Helper()
	for _, d := range w.view().sortedDomains() {
		switch m := d.Migration; {
		case m == nil:
		case !m.Switched:
			w.do("switch " + d.Name)
			w.do(fmt.Sprintf("guest %s %s running run=%d", d.Name, w.state.NodeName(m.To), m.Run))
			for _, use := range d.Spec.Volumes {
				w.do("detached " + use.Name)
			}
		default:
			for _, use := range d.Spec.Volumes {
				if w.volume(use.Name).Phase == volume.PhaseAttaching {
					w.do("serve " + use.Name)
				}
			}
		}
	}
}

// finishMoves lets the legs that a rebalancing moves get in sync, and those that they replace go. No store
// ever has less than the legs on it need, and each volume keeps its legs in sync all the time.
func (w *world) finishMoves() {
	w.t.Helper()
	for _, v := range w.state.SortedVolumes() {
		if v.Promoted.IsZero() { // else the operator gave it up
			require.GreaterOrEqual(w.t, len(v.InSync), v.Layout.Legs(), "a move never costs redundancy")
		}
		for _, l := range v.Legs {
			if l.Ordered && l.State == volume.LegRebuilding && !l.Provisioned {
				w.must(raft.Command{LegProvisioned: &raft.LegProvisioned{Volume: v.ID, Leg: l.ID}})
				w.join(v, w.state.NodeName(l.Node))
				now := w.state.Volumes[v.ID]
				w.must(raft.Command{RemoveLeg: &raft.RemoveLeg{Volume: v.ID, Epoch: now.Epoch, Leg: l.Replaces,
					SeenCfg: now.CfgVer, Reason: "it is replaced"}})
			}
		}
	}
	for leg := range w.state.Tombs {
		w.must(raft.Command{LegDeleted: &raft.LegDeleted{Leg: leg}})
	}
}

// order makes the commands of what an operator asks for.
func (w *world) order(words []string) []raft.Command {
	w.t.Helper()
	switch words[0] {
	case "retire": // NODE [by NODE]
		c := &raft.RetireNode{Node: w.node(words[1]).ID}
		if len(words) > 3 {
			c.By = w.heir(words[3]).ID
		}
		return []raft.Command{{RetireNode: c}}
	case "delete": // VOLUME
		return []raft.Command{{DeleteVolume: &raft.DeleteVolume{Volume: w.volume(words[1]).ID}}}
	case "detach": // VOLUME
		return []raft.Command{{RequestDetach: &raft.RequestDetach{Volume: w.volume(words[1]).ID}}}
	case "attach": // VOLUME HOST [takeover] [accept]
		return []raft.Command{{BeginAttach: &raft.BeginAttach{Volume: w.volume(words[1]).ID,
			Host: w.node(words[2]).ID, AttachID: volume.AttachID{UUID: w.newID()},
			Takeover: slices.Contains(words, "takeover"), AcceptLoss: slices.Contains(words, "accept")}}}
	case "promote": // VOLUME NODE [off]: from the leg there
		vol := w.volume(words[1])
		return []raft.Command{{ForcePromote: &raft.ForcePromote{Volume: vol.ID, Leg: w.leg(vol, words[2]).ID,
			Reason: "a script", HostIsOff: slices.Contains(words, "off")}}}
	case "rebalance":
		return []raft.Command{{RequestRebalance: &raft.RequestRebalance{Request: w.newID()}}}
	case "drill": // DOMAIN HOST
		return []raft.Command{w.view().BeginDrill(w.state.Domains[words[1]], w.node(words[2]).ID, false, w.newID())}
	case "migrate": // DOMAIN HOST
		return []raft.Command{w.migrate(words[1], words[2])}
	case "place": // DOMAIN HOST
		return []raft.Command{w.view().Place(w.state.Domains[words[1]], w.node(words[2]).ID, "a script")}
	}
	w.t.Fatalf("unknown order %q", words)
	return nil
}

func printPlan(p Plan) string {
	var out strings.Builder
	for _, s := range p.Steps {
		fmt.Fprintf(&out, "%s %s", s.Action, s.Object)
		if s.From != "" {
			fmt.Fprintf(&out, " from %s", s.From)
		}
		if s.To != "" {
			fmt.Fprintf(&out, " to %s", s.To)
		}
		if s.Bytes > 0 {
			fmt.Fprintf(&out, " (%s)", volume.FormatSize(s.Bytes))
		}
		if s.Legs > 0 {
			fmt.Fprintf(&out, " [%d of %d in sync]", s.InSync, s.Legs)
		}
		fmt.Fprintf(&out, ": %s\n", s.Note)
	}
	fmt.Fprintf(&out, "%s in %s\n", volume.FormatSize(p.Bytes), p.Time.Round(time.Second))
	for _, r := range p.Risks {
		fmt.Fprintf(&out, "risk: %s\n", r)
	}
	return out.String()
}
