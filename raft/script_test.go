package raft

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// TestScripts replays testdata/*.txt. Each line of an `apply` block is one command; below stands what
// the state answered, with the events it recorded. `state` prints volumes, nodes or domains. Objects
// are named; their ids are made of the names, so that they sort alike. Regenerate with -rewrite, and
// commit a change only if it is understood.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := newScript(t)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			switch d.Cmd {
			case "apply":
				return s.apply(d.Input)
			case "state":
				return s.show(strings.Fields(d.Input))
			case "restore": // NAME and generation of the incarnation; the state becomes that of a restored cluster
				return s.restore(d)
			}
			t.Fatalf("%s: unknown directive %q", d.Pos, d.Cmd)
			return ""
		})
	})
}

// script drives a State by lines of text.
type script struct {
	t     testing.TB
	state *State
	names map[string]string // uuid, in full and short, to name
}

func newScript(t testing.TB) *script {
	return &script{t: t, state: NewState(), names: make(map[string]string)}
}

// uuid makes an id of a name of at most 16 bytes.
func (s *script) uuid(name string) volume.UUID {
	var u volume.UUID
	if copy(u[:], name) < len(name) {
		s.t.Fatalf("the name %q is too long for a test id", name)
	}
	if name != "" {
		s.names[u.String()], s.names[u.Short()] = name, name
	}
	return u
}

func (s *script) leg(name string) volume.LegID       { return volume.LegID{UUID: s.uuid(name)} }
func (s *script) node(name string) volume.NodeID     { return volume.NodeID{UUID: s.uuid(name)} }
func (s *script) vol(name string) volume.ID          { return volume.ID{UUID: s.uuid(name)} }
func (s *script) attach(name string) volume.AttachID { return volume.AttachID{UUID: s.uuid(name)} }
func (s *script) store(name string) volume.StoreID   { return volume.StoreID{UUID: s.uuid(name)} }

// readable replaces ids by names, longest first.
func (s *script) readable(text string) string {
	ids := make([]string, 0, len(s.names))
	for id := range s.names {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int { return len(b) - len(a) })
	for _, id := range ids {
		text = strings.ReplaceAll(text, id, s.names[id])
	}
	return text
}

// restore makes of the state the one of a cluster that was restored from it, or from legs alone.
func (s *script) restore(d *datadriven.TestData) string {
	var inc string
	var generation uint64
	d.ScanArgs(s.t, "inc", &inc)
	d.ScanArgs(s.t, "gen", &generation)
	r := Restoration{Incarnation: volume.ClusterID{UUID: s.uuid(inc)}, Generation: uint32(generation), At: at(),
		From: "a backup"}
	before, seq := mustJSON(s.t, s.state), s.state.LastSeq
	next, err := Restored(s.state, r)
	if d.HasArg("legs") {
		seq = 0
		r.From = "the labels of legs"
		next, err = FoundAnew("demo", s.state.Cluster.ID, r)
	}
	require.Equal(s.t, string(before), string(mustJSON(s.t, s.state)), "the old state is left alone")
	if err != nil {
		return s.readable(err.Error()) + "\n"
	}
	s.state = next
	var out strings.Builder
	for _, e := range s.state.Events {
		if e.Seq > seq {
			fmt.Fprintf(&out, "%s %s %s: %s\n", e.Severity, e.Object, e.Kind, e.Message)
		}
	}
	return s.readable(out.String())
}

// apply applies one command a line and tells what came of it. A refused command must change nothing
// unless it recorded an event, and what is applied must be the same on a replica made from JSON.
func (s *script) apply(input string) string {
	var out strings.Builder
	for line := range strings.Lines(input) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		cmd := s.parse(line)
		before, seq := mustJSON(s.t, s.state), s.state.LastSeq
		replica := decodeState(s.t, before)
		result := s.state.Apply(cmd)
		require.Equal(s.t, result, replica.Apply(throughLog(s.t, cmd)), line)
		require.Equal(s.t, string(mustJSON(s.t, s.state)), string(mustJSON(s.t, replica)), line)
		if result.Err != nil && s.state.LastSeq == seq {
			require.Equal(s.t, string(before), string(mustJSON(s.t, s.state)), line)
		}
		fmt.Fprintf(&out, "%s\n  %s\n", line, s.answer(result))
		for _, e := range s.state.Events {
			if e.Seq > seq {
				fmt.Fprintf(&out, "  %s %s %s: %s\n", e.Severity, e.Object, e.Kind, e.Message)
			}
		}
	}
	return s.readable(out.String())
}

func (s *script) answer(r Result) string {
	if r.Err != nil {
		text := fmt.Sprintf("%s: %s", r.Err.Code, r.Err.Message)
		if len(r.Err.Legs) > 0 {
			text += " " + legList(r.Err.Legs)
		}
		if r.Epoch != 0 || r.Config.CfgVer != 0 {
			text += fmt.Sprintf(" (e%s c%s %s)", r.Epoch, r.Config.CfgVer, legList(r.Config.InSync))
		}
		return text
	}
	text := "ok"
	if r.Epoch != 0 || r.Config.CfgVer != 0 {
		text += fmt.Sprintf(" e%s c%s %s", r.Epoch, r.Config.CfgVer, legList(r.Config.InSync))
	}
	if r.Scrub != 0 {
		text += fmt.Sprintf(" scrub=%d", r.Scrub)
	}
	if r.SetBack {
		text += " set_back"
	}
	text += copiedText(r.Copied)
	if len(r.Lossy) > 0 {
		text += " lossy=" + legList(r.Lossy)
	}
	if r.Clean {
		text += " clean"
	}
	return text
}

// copiedText shows how far a leg was copied, in MiB, nothing if it was not.
func copiedText(c Copied) string {
	if c.Upto == 0 {
		return ""
	}
	return fmt.Sprintf(" copied=%d@%s", c.Upto>>20, c.Since)
}

func legList(legs []volume.LegID) string {
	texts := make([]string, len(legs))
	for i, l := range legs {
		texts[i] = l.String()
	}
	return "[" + strings.Join(texts, " ") + "]"
}

// show prints what there is of the named kinds, all of them by default.
func (s *script) show(kinds []string) string {
	var out strings.Builder
	wants := func(kind string) bool { return len(kinds) == 0 || slices.Contains(kinds, kind) }
	for _, n := range s.state.SortedNodes() {
		if wants("nodes") {
			fmt.Fprintf(&out, "node %s id=%s roles=%v pending=%t retiring=%t by=%s stores=%d", n.Name, n.ID,
				n.Roles, n.Pending, n.Retiring, n.ReplacedBy, len(n.Stores))
			if where := n.Location.String(); where != "" {
				out.WriteString(" in " + where)
			}
			for _, p := range n.Predecessors {
				fmt.Fprintf(&out, " after=%s(%s)", p.Name, p.ID)
			}
			out.WriteByte('\n')
		}
	}
	for _, v := range s.state.SortedVolumes() {
		if !wants("volumes") {
			continue
		}
		fmt.Fprintf(&out, "volume %s %s e%s c%s in_sync=%s granted=%s clean=%t", v.Name, v.standing(),
			v.Epoch, v.CfgVer, legList(v.InSync), legList(v.Granted), v.Clean)
		if a := v.Attach; a != nil {
			fmt.Fprintf(&out, " attach=%s host=%s maintenance=%t detaching=%t",
				a.ID, a.Host, a.Maintenance, a.Detaching)
		}
		for _, word := range []struct {
			name string
			set  bool
		}{{"verify_all", v.VerifyAll}, {"rebuilt", v.Rebuilt},
			{"promoted=" + v.Promoted.String(), !v.Promoted.IsZero()},
			{"credentials=" + v.Credentials.String(), !v.Credentials.IsZero()}} {
			if word.set {
				out.WriteString(" " + word.name)
			}
		}
		if c := v.Clone; c != nil {
			fmt.Fprintf(&out, " clone_of=%s group=%s of=%d cut=%t frozen=%t", c.SourceName, c.Group, c.Of, !v.Filling(),
				c.Frozen)
		}
		if v.SeenEpoch != 0 || v.SeenCfg != 0 {
			fmt.Fprintf(&out, " seen=e%s,c%s", v.SeenEpoch, v.SeenCfg)
		}
		out.WriteByte('\n')
		for _, l := range v.Legs {
			fmt.Fprintf(&out, "  %s on %s slot=%d %s joined=%s last=%s fenced=%s replaces=%s retiring=%t", l.ID,
				s.state.NodeName(l.Node), l.Slot, l.State, l.JoinedCfg, l.LastISRCfg, l.FencedEpoch, l.Replaces,
				l.Retiring)
			if l.LabelCfg != 0 || l.LabelSeq != 0 {
				fmt.Fprintf(&out, " label=c%s:%d@e%s", l.LabelCfg, l.LabelSeq, l.LabelEpoch)
			}
			if l.SetBack {
				out.WriteString(" set_back")
			}
			if l.Shown != nil {
				fmt.Fprintf(&out, " shown=c%s%s", l.Shown.CfgVer, legList(l.Shown.InSync))
			}
			if l.GivenUp {
				out.WriteString(" given_up")
			}
			out.WriteString(copiedText(l.Copied))
			out.WriteByte('\n')
		}
	}
	if wants("scrubs") {
		s.showScrubs(&out)
	}
	for _, d := range s.state.SortedDomains() {
		if wants("domains") {
			fmt.Fprintf(&out, "domain %s running=%t host=%s run=%d hosts=%v", d.Name, d.Running, d.Host, d.Run,
				d.Spec.Hosts)
			if d.Paused {
				out.WriteString(" paused")
			}
			if m := d.Migration; m != nil {
				fmt.Fprintf(&out, " migration=%d %s->%s run=%d switched=%t", m.Operation, m.From, m.To, m.Run,
					m.Switched)
			}
			out.WriteByte('\n')
		}
	}
	if slices.Contains(kinds, "tokens") {
		s.showTokens(&out)
	}
	if slices.Contains(kinds, "operations") {
		s.showOperations(&out)
	}
	if slices.Contains(kinds, "images") {
		s.showImages(&out)
	}
	if slices.Contains(kinds, "drills") {
		s.showDrills(&out)
	}
	if wants("tombs") {
		fmt.Fprintf(&out, "tombstones: %d\n", len(s.state.Tombs))
	}
	return strings.ReplaceAll(s.readable(out.String()), volume.UUID{}.String(), "-")
}

func (s *script) showScrubs(out io.Writer) {
	for _, v := range s.state.SortedVolumes() {
		if v.Scrub != nil {
			fmt.Fprintf(out, "%s wanted %s\n", v.Name, scrubText(v.Scrub))
		}
		if r := v.LastScrub; r != nil {
			fmt.Fprintf(out, "%s last %s bytes=%d complete=%t\n", v.Name, scrubText(&r.Scrub), r.Bytes, r.Complete)
		}
		if r := v.StoppedScrub; r != nil {
			fmt.Fprintf(out, "%s stopped %s bytes=%d complete=%t\n", v.Name, scrubText(&r.Scrub), r.Bytes, r.Complete)
		}
	}
}

func scrubText(r *Scrub) string {
	return fmt.Sprintf("%d request=%s by=%s rate=%d from=%d bad=%d healed=%d diverged=%d ranges=%d unreadable=%d",
		r.ID, r.Request, r.By, r.Rate, r.From, r.Found.Bad(), r.Found.Healed(), r.Found.Diverged,
		len(r.Found.Ranges), r.Found.Unreadable)
}

// words are the arguments of one line: positional ones, key=value, and flags.
type words struct {
	s    *script
	line string
	pos  []string
	keys map[string]string
}

func (w *words) next() string {
	if len(w.pos) == 0 {
		w.s.t.Fatalf("%q: an argument is missing", w.line)
	}
	word := w.pos[0]
	w.pos = w.pos[1:]
	return word
}

func (w *words) list(key string) []string {
	if w.keys[key] == "" {
		return nil
	}
	return strings.Split(w.keys[key], ",")
}

func (w *words) number(key string) uint64 {
	if w.keys[key] == "" {
		return 0
	}
	n, err := strconv.ParseUint(w.keys[key], 0, 64)
	require.NoError(w.s.t, err, w.line)
	return n
}

// flag takes a positional word out and reports whether it was there.
func (w *words) flag(name string) bool {
	i := slices.Index(w.pos, name)
	if i >= 0 {
		w.pos = slices.Delete(w.pos, i, i+1)
	}
	return i >= 0
}

func split(s *script, line string) *words {
	w := &words{s: s, line: line, keys: make(map[string]string)}
	for _, word := range strings.Fields(line) {
		if key, value, ok := strings.Cut(word, "="); ok {
			w.keys[key] = value
		} else {
			w.pos = append(w.pos, word)
		}
	}
	return w
}

func mustJSON(t testing.TB, v any) []byte {
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return data
}

func decodeState(t testing.TB, data []byte) *State {
	s := NewState()
	require.NoError(t, decodeStrict(data, s))
	return s
}

// throughLog returns the command as another replica reads it from the log.
func throughLog(t testing.TB, c Command) Command {
	data, err := encodeCommand(c)
	require.NoError(t, err)
	c, err = decodeCommand(data)
	require.NoError(t, err)
	return c
}

// at is the time of every scripted command.
func at() time.Time { return time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC) }
