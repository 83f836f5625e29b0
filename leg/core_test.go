package leg

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/volume"
)

// coreScript drives a Core by a script. Nothing happens by itself: the script says when a label is
// durable and when data is synced.
type coreScript struct {
	core    *Core
	nextOp  OpID
	names   map[SessionID]string
	byName  map[string]SessionID
	opNames map[OpID]string
	persist *Effect
	label   volume.Label // on the disk
	regions *Regions     // on the disk
	tickets map[SessionID][]Ticket
	syncs   []OpID
	out     strings.Builder
}

// TestCore_scripts replays testdata/core_*. The scripts are scenarios of the protocol; read their
// comments before a rewrite.
func TestCore_scripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/core_*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	for _, path := range scripts {
		t.Run(filepath.Base(path), func(t *testing.T) { runScript(t, path) })
	}
}

func runScript(t *testing.T, path string) {
	s := &coreScript{}
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		s.out.Reset()
		if d.Cmd != "run" {
			s.step(t, d.Cmd, d.CmdArgs)
		}
		for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
			if line == "" {
				continue
			}
			cmd, args, err := datadriven.ParseLine(line)
			require.NoError(t, err)
			fmt.Fprintf(&s.out, "> %s\n", line)
			s.step(t, cmd, args)
		}
		return s.out.String()
	})
}

type scriptArgs []datadriven.CmdArg

func (a scriptArgs) text(key string) string {
	for _, arg := range a {
		if arg.Key == key {
			if len(arg.Vals) == 0 {
				return "true"
			}
			return strings.Join(arg.Vals, ",")
		}
	}
	return ""
}

func (a scriptArgs) number(key string) uint64 {
	var n uint64
	_, _ = fmt.Sscan(a.text(key), &n) // a missing number is zero
	return n
}

func scriptUUID(n byte) volume.UUID { return volume.UUID{15: n} }

func (s *coreScript) step(t *testing.T, cmd string, list []datadriven.CmdArg) {
	args := scriptArgs(list)
	session := s.byName[args.text("s")]
	switch cmd {
	case "start":
		s.start(args)
	case "restart":
		s.restart(args)
	case "login":
		s.login(args)
	case "closed":
		s.core.SessionClosed(session)
	case "enter":
		ticket, verdict, err := s.core.Enter(session, args.text("write") != "", scriptRange(args))
		if verdict == Admit {
			s.tickets[session] = append(s.tickets[session], ticket)
		}
		fmt.Fprintf(&s.out, "%s\n", map[Verdict]string{Refuse: "refuse: " + s.reason(err), Admit: "admit",
			NeedMark: "need mark"}[verdict])
	case "leave":
		list := s.tickets[session]
		if len(list) == 0 {
			fmt.Fprintln(&s.out, "nothing of it is inside")
			return
		}
		s.tickets[session] = list[1:]
		s.core.Leave(list[0])
	case "mark":
		s.core.Mark(s.op("mark"+args.text("as")), session, scriptRange(args))
	case "stamp":
		s.core.Stamp(s.op("stamp"), session, []volume.VersionRun{{First: uint32(args.number("r")),
			Count: uint32(max(args.number("n"), 1)), Version: volume.CfgVer(args.number("ver"))}})
	case "marks":
		page, err := s.core.Marks(session, volume.CfgVer(args.number("since")), uint32(args.number("r")))
		fmt.Fprintf(&s.out, "%v %s\n", page, s.reason(err))
	case "versions":
		page, err := s.core.Versions(session, volume.CfgVer(args.number("since")), uint32(args.number("r")))
		fmt.Fprintf(&s.out, "%v %s\n", page, s.reason(err))
	case "land": // of what is on its way the sectors reach the disk, but the label does not
		for _, sector := range s.persist.Sectors {
			if err := s.regions.Load(sector); err != nil {
				t.Fatal(err)
			}
		}
	case "spoil":
		s.spoil(uint32(args.number("sector")))
	case "config":
		cfg := volume.Config{CfgVer: volume.CfgVer(args.number("ver")),
			InSync: []volume.LegID{{UUID: scriptUUID(byte(args.number("leg")))}}}
		s.core.Config(s.op("config"+args.text("as")), session, volume.Epoch(args.number("epoch")), cfg)
	case "rotate":
		gen, err := s.core.Rotate(session)
		fmt.Fprintf(&s.out, "generation %d: %s\n", gen&0xffffffff, s.reason(err))
	case "stable":
		s.core.Stable(s.op("stable"), session, s.core.instance<<32|args.number("gen"))
	case "detach":
		s.core.Detach(s.op("detach"), session, args.text("clean") != "")
	case "persisted":
		s.persisted(t, args.text("err"))
	case "synced":
		if len(s.syncs) == 0 {
			fmt.Fprintln(&s.out, "no sync was asked for")
			return
		}
		op := s.syncs[0]
		s.syncs = s.syncs[1:]
		s.core.Synced(op, scriptError(args.text("err")))
	case "abandon":
		for op, name := range s.opNames {
			if name == args.text("op") {
				s.core.Abandon(op)
			}
		}
	case "fail":
		s.core.Fail(errors.New("disk on fire"))
	case "report":
		r := s.core.Report()
		fmt.Fprintf(&s.out, "%s lossy=%v marks=%d crashes=%d\n", describe(r.Label), r.Lossy,
			s.core.regions.Marks(), r.Label.CrashGen)
		if (r.MarksHash != 0) != (s.core.regions.Marks() > 0) {
			t.Fatal("the digest of marks is zero if and only if there are none")
		}
	default:
		t.Fatalf("unknown command %q", cmd)
	}
	s.effects()
}

func scriptError(text string) error {
	if text == "" {
		return nil
	}
	return errors.New(text)
}

// scriptRange is the regions that a step names: n of them from r on, the first one without a word.
func scriptRange(args scriptArgs) block.Range {
	return block.Range{Off: int64(args.number("r")) * volume.RegionBytes,
		Len: int64(max(args.number("n"), 1)) * volume.RegionBytes}
}

func (s *coreScript) start(args scriptArgs) {
	s.label = volume.Label{
		LegID: volume.LegID{UUID: scriptUUID(1)}, SizeBytes: 10 << 20,
		FenceEpoch: volume.Epoch(args.number("epoch")),
		AttachID:   volume.AttachID{UUID: scriptUUID(byte(args.number("attach")))},
		OpenBoot:   scriptUUID(byte(args.number("open_boot"))), Admit: args.text("admit") != "",
		Durability: volume.Durability(args.text("class")),
	}
	s.regions = NewRegions(s.label.LegID, s.label.SizeBytes)
	s.reset(byte(args.number("boot")))
}

// restart starts the node anew with what is on the disk.
func (s *coreScript) restart(args scriptArgs) {
	boot := byte(args.number("boot"))
	found := Found{Label: s.label, Regions: s.regions, Suspect: args.text("suspect") != "",
		Halved: args.text("halved") != ""}
	var sectors []RegionSector
	s.label, sectors = StartLeg(found, scriptUUID(boot))
	if len(sectors) > 0 {
		fmt.Fprintf(&s.out, "write%s\n", s.sectors(sectors))
	}
	s.reset(boot)
}

func (s *coreScript) reset(boot byte) {
	s.core = NewCore(CoreOptions{Label: s.label, Regions: s.regions.Clone(), Boot: scriptUUID(boot), Instance: 7})
	s.persist, s.syncs, s.tickets = nil, nil, map[SessionID][]Ticket{}
	s.names, s.byName, s.opNames = map[SessionID]string{}, map[string]SessionID{}, map[OpID]string{}
}

// spoil lets a sector of the disk rot.
func (s *coreScript) spoil(n uint32) {
	bad := s.regions.Sector(n)
	bad.Bytes[100] ^= 0x10
	if err := s.regions.Load(bad); err != nil {
		panic(err)
	}
}

// sectors says what sectors of the file regions hold.
func (s *coreScript) sectors(list []RegionSector) string {
	out := ""
	for _, sector := range list {
		if sector.Number == 0 {
			out += " header"
			continue
		}
		says := NewRegions(s.label.LegID, s.label.SizeBytes)
		_ = says.Load(sector) // only a header can be refused
		first, end, marks := says.sectorRegions(sector.Number)
		var words []string
		for i := first; i < end; i++ {
			switch {
			case marks && says.Marked(i):
				words = append(words, fmt.Sprint(i))
			case !marks && says.Version(i) > 0:
				words = append(words, fmt.Sprintf("%d:%s", i, says.Version(i)))
			}
		}
		out += fmt.Sprintf(" %s{%s}", map[bool]string{true: "marks", false: "versions"}[marks],
			strings.Join(words, " "))
	}
	return out
}

func (s *coreScript) op(name string) OpID {
	s.nextOp++
	s.opNames[s.nextOp] = name
	return s.nextOp
}

func (s *coreScript) login(args scriptArgs) {
	name := args.text("as")
	login := Login{Epoch: volume.Epoch(args.number("epoch")),
		Attach: volume.AttachID{UUID: scriptUUID(byte(args.number("attach")))}}
	login.ISID[5] = byte(args.number("isid"))
	op := s.op("login " + name)
	if id := s.core.Login(op, login); id != 0 {
		s.names[id], s.byName[name] = name, id
	}
}

func (s *coreScript) persisted(t *testing.T, failure string) {
	if s.persist == nil {
		fmt.Fprintln(&s.out, "nothing is on its way")
		return
	}
	e := *s.persist
	s.persist = nil
	for _, sector := range e.Sectors {
		if err := s.regions.Load(sector); err != nil {
			t.Fatal(err)
		}
	}
	e.Label.SlotSeq++
	if e.WriteLabel {
		s.label = e.Label
	}
	s.core.Persisted(e.Label, scriptError(failure))
}

func (s *coreScript) effects() {
	for _, e := range s.core.Effects() {
		switch e.Kind {
		case EffectKill:
			fmt.Fprintf(&s.out, "kill %s\n", s.names[e.Session])
		case EffectPersist:
			s.persist = &e
			label := "regions"
			if e.WriteLabel {
				label = describe(e.Label)
			}
			fmt.Fprintf(&s.out, "persist %s%s\n", label, s.sectors(e.Sectors))
		case EffectSync:
			s.syncs = append(s.syncs, e.Op)
			fmt.Fprintf(&s.out, "sync for %s\n", s.opNames[e.Op])
		case EffectReply:
			fmt.Fprintf(&s.out, "reply %s: %s\n", s.opNames[e.Op], s.reason(e.Err))
		case EffectFailed:
			fmt.Fprintf(&s.out, "failed: %v\n", e.Err)
		}
	}
}

// reason prints what a host could tell of an error: whether it is a fence, and the rest of its text.
func (s *coreScript) reason(err error) string {
	if err == nil {
		return "ok"
	}
	text := strings.ReplaceAll(err.Error(), "leg "+scriptUUID(1).String(), "leg")
	if errors.Is(err, block.ErrFenced) {
		return "FENCED (" + text + ")"
	}
	return text
}

func describe(l volume.Label) string {
	out := fmt.Sprintf("epoch=%s attach=%d cfgver=%s", l.FenceEpoch, l.AttachID.UUID[15], l.Config.CfgVer)
	for _, flag := range []struct {
		name string
		set  bool
	}{{"admit", l.Admit}, {"closed", l.Closed}, {"clean", l.Clean}, {"marked", l.Marked}} {
		if flag.set {
			out += " " + flag.name
		}
	}
	return fmt.Sprintf("%s boot=%d", out, l.OpenBoot[15])
}
