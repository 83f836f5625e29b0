package mirror

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestScripts replays testdata/*.txt against a Core: the script plays the guest, the legs, the
// coordinators and the clock, and sees every effect but pings, which unmuted legs answer.
//
//	serve legs=(a,b) [outside=(c)] [marks=(a)]   attach with these legs in sync, up to serving; challenge
//	                                             lets their media be asked, confirm shows Confirm
//	serve layout=2+1 [chunk=SIZE] legs=(a,b,c) [unclean]   the same for a set of parity; unclean up to CONFIG on
//	                                             every leg
//	new legs=(…) [outside=(…)]                   only make the legs known and begin to attach
//	up LEG [lossy] [restarted]                   a login; down LEG [fenced]
//	set LEG [seq=N] [cfg=N] [unmarked] [changes=N]   what its next login shows, other than what it should
//	write|read|zero ID off=BLOCK n=BLOCKS [bytes=N at=N]; flush ID
//	ok REQUEST…                                  legs answer: w1@a, or CONFIG@a, Activate …
//	fail REQUEST… why=ERROR [cfg=N insync=(a,b)] the same with an error, and raft's configuration
//	yes REQUEST cfg=N insync=(a,b)               raft answers with a configuration
//	marks REQUEST [marked=BLOCK] [newer=BLOCK]; versions REQUEST runs=(FIRST+COUNT:VERSION)
//	records REQUEST [floor=T] [has=(T/LEGS…)]    T is epoch.number; LEGS end with ! if the record is committed
//	sums REQUEST [differ=(BLOCK[:SUM])] [bad=(BLOCK)]
//	fit REQUEST [bad=(ROW)]                      which of the rows that were read of all legs do not fit together
//	scrub ID [rate=BYTES] [from=BYTES] [stop]
//	mute LEG, unmute LEG                         whether pings are answered
//	wait DURATION; status
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out, err := s.run(d)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			return out
		})
	})
}

type script struct {
	broken Rules // besides those that the script names
	// challenge lets the media be asked; else they are not for an hour.
	challenge bool
	out       strings.Builder
	core      *Core
	now       time.Duration
	names     []string
	reports   []volume.LegReport
	muted     map[string]bool
	pending   map[string]Effect
	current   string
	quiet     bool
	layout    volume.Layout
	unclean   bool // the last attachment did not end well
	confirm   bool // Confirm is shown and answered by the script
}

// scriptError is a script that asks for what is not there.
type scriptError string

// run carries out one directive and returns what happened.
func (s *script) run(d *datadriven.TestData) (out string, err error) {
	defer func() {
		if why, ok := recover().(scriptError); ok {
			err = errors.New(string(why))
		}
	}()
	s.out.Reset()
	s.command(d.Cmd, d)
	if s.out.Len() == 0 {
		return "ok\n", nil
	}
	return s.out.String(), nil
}

func (s *script) must(ok bool, format string, args ...any) {
	if !ok {
		panic(scriptError(fmt.Sprintf(format, args...)))
	}
}

var scriptErrors = map[string]error{
	"unreachable": block.ErrUnreachable, "failed": block.ErrFailed, "medium": block.ErrMedium,
	"fenced":  block.ErrFenced,
	"nospace": block.ErrNoSpace, "superseded": ErrSuperseded, "last": ErrLast, "retry": ErrRetry,
	"stale": ErrStaleRequest, "wait": ErrWait, "unknown": errors.New("no answer"),
}

func (s *script) command(cmd string, d *datadriven.TestData) {
	var args []string
	opts := map[string][]string{}
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 {
			args = append(args, a.Key)
		}
		opts[a.Key] = a.Vals
	}
	one := func(key string) int64 {
		var n int64
		if v := opts[key]; len(v) > 0 {
			_, err := fmt.Sscan(v[0], &n)
			s.must(err == nil, "%s is no number", v[0])
		}
		return n
	}
	_, lossy := opts["lossy"]
	_, restarted := opts["restarted"]
	switch cmd {
	case "new", "serve":
		_, s.challenge = opts["challenge"]
		s.begin(opts["legs"], opts["outside"], opts["broken"], append(opts["layout"], opts["chunk"]...))
		_, s.confirm = opts["confirm"]
		_, s.unclean = opts["unclean"]
		if cmd == "serve" {
			s.serve(opts["legs"], opts["marks"])
		}
	case "up":
		s.up(args[0], lossy, restarted)
	case "set":
		s.set(args[0], opts, one)
	case "down":
		cause := block.ErrUnreachable
		if _, ok := opts["fenced"]; ok {
			cause = block.ErrFenced
		}
		s.step(&Event{Kind: EventDown, Leg: s.index(args[0]), Err: cause})
	case "write", "read", "zero", "flush":
		s.guest(cmd, args[0], opts, one)
	case "ok", "fail":
		reply := Reply{Seq: uint64(one("progress"))}
		if opts["cfg"] != nil {
			reply.Config = s.config(one("cfg"), opts["insync"])
		}
		s.answerAll(cmd, args, opts["why"], reply)
	case "yes":
		s.reply(args[0], nil, Reply{Config: s.config(one("cfg"), opts["insync"])})
	case "marks":
		s.reply(args[0], nil, Reply{Marked: blocks(opts["marked"]), Newer: blocks(opts["newer"])})
	case "records":
		s.records(args[0], opts["floor"], opts["has"])
	case "fit":
		s.fit(args[0], opts["bad"])
	case "sums":
		s.sums(args[0], opts["differ"], opts["bad"])
	case "versions":
		s.reply(args[0], nil, Reply{Versions: s.runs(opts["runs"])})
	case "scrub":
		_, stop := opts["stop"]
		o := ScrubOrder{Rate: one("rate"), From: one("from"), Stop: stop}
		_, err := fmt.Sscan(args[0], &o.ID)
		s.must(err == nil, "%s is no number", args[0])
		s.step(&Event{Kind: EventScrub, Scrub: &o})
	case "mute", "unmute":
		s.muted[args[0]] = cmd == "mute"
	case "wait":
		dur, err := time.ParseDuration(args[0])
		s.must(err == nil, "%s is no duration", args[0])
		s.wait(dur)
	case "detach":
		s.step(&Event{Kind: EventDetach})
	case "status":
		s.status()
	default:
		s.must(false, "unknown command %s", cmd)
	}
}

func (s *script) begin(legs, outside, broken, layout []string) {
	rules := s.broken
	for _, name := range broken {
		r, ok := RuleByName(name)
		s.must(ok, "no rule %s", name)
		rules |= r
	}
	timing := Timing{CopyBytes: 64 << 10, Challenge: time.Hour, CopySave: 2 * time.Second}
	if s.challenge {
		timing.Challenge = 0
	}
	if slices.Contains(outside, "n") {
		timing.CopyDepth = 1 // one extent after the other
	}
	var set volume.Layout
	if len(layout) > 0 {
		var err error
		size := "16K"
		if len(layout) > 1 {
			size = layout[1]
		}
		set, err = volume.ParseLayout("parity=" + layout[0] + ",chunk=" + size)
		s.must(err == nil, "%v", err)
	}
	core, err := NewCore(CoreOptions{Epoch: 5, SizeBytes: 64 * BlockBytes, Layout: set, Broken: rules,
		Timing: timing})
	s.must(err == nil, "%v", err)
	*s = script{broken: s.broken, layout: set, core: core, now: time.Second, muted: map[string]bool{},
		pending: map[string]Effect{}}
	for _, name := range slices.Concat(legs, outside) {
		id := volume.LegID{UUID: volume.UUID{name[0]}}
		s.names = append(s.names, name)
		s.reports = append(s.reports, volume.LegReport{Label: volume.Label{LegID: id, FenceEpoch: 5},
			BootID: volume.UUID{1}, Instance: 1})
		since := volume.CfgVer(1)
		if name == "n" { // a new leg, which never was in sync
			since = 0
		}
		s.step(&Event{Kind: EventLeg, Leg: LegIndex(len(s.names) - 1),
			Info: &LegInfo{ID: id, Slot: len(s.names) - 1, InSync: slices.Contains(legs, name), Since: since,
				Join: true}})
	}
	s.step(&Event{Kind: EventAttach})
}

// serve goes through an attach in which everything is well.
func (s *script) serve(legs, marked []string) {
	s.quiet = true
	for _, l := range legs {
		s.up(l, false, false)
		s.reply("RecordFence@"+l, nil, Reply{})
	}
	s.reply("Activate", nil, Reply{Config: s.config(2, legs), Clean: len(marked) == 0 && !s.unclean})
	for n, l := range legs {
		if s.unclean && n == len(legs)-1 {
			s.out.Reset()
		}
		s.reply("CONFIG@"+l, nil, Reply{})
	}
	if s.unclean {
		s.quiet = false
		return
	}
	for _, l := range legs {
		if len(marked) > 0 {
			s.reply("MARKS@"+l, nil, Reply{Marked: blocks(marked)})
		}
	}
	s.quiet = false
	s.out.Reset()
}

func (s *script) index(name string) LegIndex {
	i := slices.Index(s.names, name)
	s.must(i >= 0, "no leg %s", name)
	return LegIndex(i)
}

func (s *script) config(ver int64, legs []string) volume.Config {
	c := volume.Config{CfgVer: volume.CfgVer(ver)}
	for _, l := range legs {
		c.InSync = append(c.InSync, s.reports[s.index(l)].Label.LegID)
	}
	return c
}

func blocks(list []string) (out []block.Range) {
	for _, v := range list {
		var b int64
		_, _ = fmt.Sscan(v, &b)
		out = append(out, block.Range{Off: b * BlockBytes, Len: BlockBytes})
	}
	return out
}

func (s *script) up(name string, lossy, restarted bool) {
	r := &s.reports[s.index(name)]
	r.Lossy = lossy
	if restarted || lossy {
		r.Instance++
		r.Changes = 0
		r.Label.SlotSeq++ // each start writes the label
	}
	s.step(&Event{Kind: EventUp, Leg: s.index(name), Report: r})
}

// set changes what a leg's next login shows.
func (s *script) set(name string, opts map[string][]string, one func(string) int64) {
	r := &s.reports[s.index(name)]
	if opts["seq"] != nil {
		r.Label.SlotSeq = uint64(one("seq"))
	}
	if opts["cfg"] != nil {
		r.Label.Config.CfgVer = volume.CfgVer(one("cfg"))
	}
	if opts["changes"] != nil {
		r.Changes = uint64(one("changes"))
	}
	if _, ok := opts["unmarked"]; ok {
		r.Label.Marked = false
	}
}

func (s *script) guest(cmd, id string, opts map[string][]string, one func(string) int64) {
	verbs := map[string]block.Op{"write": block.OpWrite, "read": block.OpRead, "zero": block.OpZero,
		"flush": block.OpFlush}
	ev := Event{Kind: EventGuest, Guest: id, Op: verbs[cmd]}
	if ev.Op != block.OpFlush {
		ev.Range = block.Range{Off: one("off") * BlockBytes, Len: max(one("n"), 1) * BlockBytes}
		if opts["bytes"] != nil {
			ev.Range = block.Range{Off: ev.Range.Off + one("at"), Len: one("bytes")}
		}
	}
	if ev.Op == block.OpWrite {
		ev.Data = "payload of " + id
	}
	s.current = id
	s.step(&ev)
	s.current = ""
}

func (s *script) answerAll(cmd string, names, why []string, r Reply) {
	var err error
	if cmd == "fail" {
		err = scriptErrors[why[0]]
		s.must(err != nil, "no error %v", why)
	}
	for _, n := range names {
		s.reply(n, err, r)
	}
}

func (s *script) runs(list []string) (runs []volume.VersionRun) {
	for _, v := range list {
		var r volume.VersionRun
		_, err := fmt.Sscanf(v, "%d+%d:%d", &r.First, &r.Count, &r.Version)
		s.must(err == nil, "%s is no run", v)
		runs = append(runs, r)
	}
	return runs
}

// transaction reads "epoch.number".
func (s *script) transaction(text string) (t volume.Transaction) {
	_, err := fmt.Sscanf(text, "%d.%d", &t.Epoch, &t.Number)
	s.must(err == nil, "%s is no transaction", text)
	return t
}

// copyName is what the work on an extent is called.
func (s *script) copyName(x *Effect) string {
	o := s.core.ops[x.Req.Op]
	name := [...]string{"copy", "copy", "heal", "scrub"}[o.copy.kind]
	if o.copy.kind <= copyJoin {
		name += fmt.Sprint(o.copy.extent)
	}
	return name
}

func (s *script) fit(name string, bad []string) {
	x, ok := s.pending["fit "+name]
	s.must(ok, "%s is not pending: %v", name, s.list())
	delete(s.pending, "fit "+name)
	ev := Event{Kind: EventVerified, Req: x.Req}
	for _, v := range bad {
		var row uint32
		_, err := fmt.Sscan(v, &row)
		s.must(err == nil, "%s is no row", v)
		ev.Reply.Bad = append(ev.Reply.Bad, row)
	}
	s.step(&ev)
}

func (s *script) records(name string, floor, has []string) {
	r := &volume.Records{}
	if len(floor) > 0 {
		r.Floor = s.transaction(floor[0])
	}
	for _, v := range has {
		at, legs, _ := strings.Cut(v, "/")
		record := volume.Record{Transaction: s.transaction(at), Kind: volume.RecordImage, Blocks: 1}
		legs, record.Committed = strings.CutSuffix(legs, "!")
		if rest, delta := strings.CutSuffix(legs, "~"); delta {
			legs, record.Kind = rest, volume.RecordDelta
		}
		for _, l := range strings.Split(legs, "") {
			record.Legs = append(record.Legs, s.reports[s.index(l)].Label.LegID)
		}
		r.Records = append(r.Records, record)
	}
	s.reply(name, nil, Reply{Records: r})
}

func (s *script) sums(name string, differ, bad []string) {
	x := s.pending[name]
	s.must(x.Command != nil, "%s is not pending: %v", name, s.list())
	sums := make([]uint32, x.Command.Range.Len/BlockBytes)
	index := func(v string) uint32 { return uint32((blocks([]string{v})[0].Off - x.Command.Range.Off) / BlockBytes) }
	for _, v := range differ {
		where, what, _ := strings.Cut(v, ":")
		sum := uint32(1)
		_, _ = fmt.Sscan(what, &sum)
		sums[index(where)] = sum
	}
	r := Reply{Sums: sums}
	for _, v := range bad {
		r.Bad = append(r.Bad, index(v))
	}
	s.reply(name, nil, r)
}

// reply answers a pending request, command or question.
func (s *script) reply(name string, err error, r Reply) {
	x, ok := s.pending[name]
	s.must(ok, "%s is not pending: %v", name, s.list())
	delete(s.pending, name)
	if x.Kind == EffectCall {
		if x.Command.Kind == CommandConfig && err == nil {
			s.reports[x.Leg].Label.Config = x.Command.Config
			s.reports[x.Leg].Label.SlotSeq++
		}
		s.step(&Event{Kind: EventAnswer, Call: x.Call, Err: err, Reply: r})
		return
	}
	if x.Op.Changes() && err == nil {
		r := &s.reports[x.Leg]
		r.Changes, r.Label.Marked = r.Changes+1, true
	}
	ev := Event{Kind: EventDone, Req: x.Req, Op: x.Op, Err: err}
	if x.Op == block.OpRead && err == nil {
		ev.Data = "data of " + name
	}
	s.step(&ev)
}

func (s *script) list() []string {
	var names []string
	for n := range s.pending {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func (s *script) wait(d time.Duration) {
	for end := s.now + d; ; {
		at := s.core.Deadline()
		if at == 0 || at > end {
			s.now = end
			return
		}
		s.now = max(s.now, at)
		s.step(&Event{Kind: EventTick})
	}
}

func (s *script) step(ev *Event) {
	effects := s.core.Step(s.now, ev, nil)
	var pings []Effect
	for _, x := range effects {
		if x.Kind == EffectPing || x.Kind == EffectCall && x.Command.Kind == CommandConfirm && !s.confirm {
			pings = append(pings, x)
			continue
		}
		s.show(&x)
	}
	for _, x := range pings {
		if x.Kind == EffectCall {
			s.step(&Event{Kind: EventAnswer, Call: x.Call})
		} else if !s.muted[s.names[x.Leg]] {
			s.step(&Event{Kind: EventPong, Leg: x.Leg, Sess: x.Req.Sess})
		}
	}
}

// show prints an effect and keeps what has to be answered.
func (s *script) show(x *Effect) {
	leg := ""
	if x.Leg >= 0 {
		leg = s.names[x.Leg]
	}
	switch x.Kind {
	case EffectSubmit:
		s.submit(x, leg)
	case EffectCall:
		name := x.Command.Kind.String()
		if x.Leg >= 0 {
			name += "@" + leg
		}
		s.pending[name] = *x
		s.printf("%s%s", name, s.params(x.Command))
	case EffectDeliver:
		s.printf("read %v: %v", x.Guest, x.Data)
	case EffectComplete:
		s.printf("ack %v%s", x.Guest, withError(x.Err))
	case EffectFill:
		s.printf("fill %v at %d from %v around %s", x.Data, x.Offset, x.Source, x.Keep)
	case EffectChange:
		s.printf("change of chunk %d from %v at %d to %v", x.Chunk, x.Source, x.Begin, x.Data)
	case EffectEncode:
		s.printf("encode %v", x.Data)
	case EffectVerify:
		s.pending["fit "+s.copyName(x)] = *x
		s.printf("do %v of %s fit together?", x.Parts, s.copyName(x))
	case EffectDecode:
		s.printf("decode chunk %d from %v", x.Chunk, x.Parts)
	case EffectReset:
		s.printf("reset %s: %s", leg, x.Text)
	case EffectState:
		s.printf("state %s %s", x.State, x.Text)
	case EffectLeg:
		s.printf("leg %s: %s -> %s (%s)", leg, x.From, x.To, x.Text)
	case EffectStopped:
		s.printf("stopped: %v", x.Err)
	case EffectDetached:
		s.printf("detached clean=%v", x.Clean)
	case EffectStage:
		s.printf("stage %s", x.Text)
	case EffectScrubbed:
		s.scrubbed(x.Scrub)
	}
}

func (s *script) scrubbed(r *ScrubReport) {
	s.printf("scrub %d [%d,%d) complete=%v diverged=%d%v unreadable=%d", r.ID, r.From, r.Next, r.Complete,
		r.DivergedN, r.Diverged, r.Unreadable)
	for _, l := range r.Legs {
		if l.Bad > 0 || l.Healed > 0 {
			s.printf("  %c bad=%d healed=%d", l.ID.UUID[0], l.Bad, l.Healed)
		}
	}
}

func withError(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

func (s *script) submit(x *Effect, leg string) {
	id := s.current
	if o := s.core.ops[x.Req.Op]; o.guest != nil {
		id = o.guest.(string)
	} else if id == "" || o.kind == opCopy || o.purpose != flushGuest {
		id = "own-flush"
		if o.kind == opCopy {
			id = s.copyName(x)
		}
	}
	name := id + "@" + leg
	if x.Req.Read {
		name = id + "r@" + leg
	}
	s.pending[name] = *x
	if x.Stage != nil {
		kind := "image"
		if x.Record(s.layout).Kind == volume.RecordDelta {
			kind = "delta"
		}
		s.printf("%s %s %s of chunk %d %s", name, x.Stage.Transaction, kind, x.Chunk, x.Range)
		return
	}
	s.printf("%s %s %s", name, x.Op, x.Range)
}

func (s *script) params(c *Command) string {
	switch c.Kind {
	case CommandConfig:
		return " cfg=" + c.Config.CfgVer.String()
	case CommandRemoveLeg, CommandAddLeg:
		return fmt.Sprintf(" cfg=%s %s%s", c.CfgVer, c.Reason, progressText(c.Seqs))
	case CommandMarks:
		return " since=" + c.Since.String()
	case CommandSums, CommandAdopt:
		if c.Medium {
			return " " + c.Range.String() + " medium"
		}
		return " " + c.Range.String()
	case CommandVersions:
		return " since=" + c.Since.String()
	case CommandStamp:
		return fmt.Sprint(" ", c.Versions)
	case CommandCommit, CommandFree, CommandDrop:
		return " " + c.UpTo.String()
	case CommandRollback:
		return fmt.Sprint(" ", c.List)
	case CommandStable:
		return fmt.Sprintf(" gen=%d", c.Generation)
	case CommandDetach, CommandDetachLeg:
		return fmt.Sprintf(" clean=%v%s", c.Clean, progressText(c.Seqs))
	case CommandConfirm:
		return progressText(c.Seqs)
	}
	return ""
}

// progressText shows what is told of labels, nothing if that is nothing.
func progressText(seqs []volume.LegSeq) (text string) {
	for _, s := range seqs {
		if s.Seq > 0 {
			text += fmt.Sprintf(" %s:%d", s.Leg.Short(), s.Seq)
		}
	}
	return text
}

func (s *script) printf(format string, args ...any) {
	if !s.quiet {
		fmt.Fprintln(&s.out, strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}

func (s *script) status() {
	st := s.core.Status(nil)
	s.printf("%s %s cfg=%s", st.State, st.Reason, st.CfgVer)
	for i, l := range st.Legs {
		x := LegIndex(i)
		s.printf("  %s %s ack=%v read=%v wo=%v", s.names[i], l.State, s.core.ack.has(x), s.core.read.has(x),
			s.core.wo.has(x))
		if l.MediumErrors+l.Healed > 0 || strings.Contains(l.Error, "cannot be read") {
			s.printf("    medium errors %d, healed %d, %s", l.MediumErrors, l.Healed, l.Error)
		}
	}
	if st.Unreadable > 0 || st.ScrubTotal > 0 {
		s.printf("  unreadable %d, scrub %d: %d of %d", st.Unreadable, st.ScrubID, st.ScrubDone, st.ScrubTotal)
	}
	s.printf("  pending %v", s.list())
}
