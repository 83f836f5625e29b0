package leg

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

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
	persist *volume.Label
	syncs   []OpID
	out     strings.Builder
}

// TestCore_scripts replays testdata/core_*. The scripts are scenarios of the protocol; read their
// comments before a rewrite.
func TestCore_scripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
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
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&s.out, "> %s\n", line)
				s.step(t, cmd, args)
			}
			return s.out.String()
		})
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
		label := StartLabel(s.core.Durable(), args.text("suspect") != "")
		s.reset(label, byte(args.number("boot")))
	case "login":
		s.login(args)
	case "closed":
		s.core.SessionClosed(session)
	case "enter":
		verdict, err := s.core.Enter(session, args.text("write") != "")
		fmt.Fprintf(&s.out, "%s\n", map[Verdict]string{Refuse: "refuse: " + s.reason(err), Admit: "admit",
			NeedMark: "need mark"}[verdict])
	case "leave":
		s.core.Leave(session, args.text("write") != "")
	case "mark":
		s.core.Mark(s.op("mark"), session)
	case "config":
		cfg := volume.Config{CfgVer: volume.CfgVer(args.number("ver")),
			InSync: []volume.LegID{{UUID: scriptUUID(byte(args.number("leg")))}}}
		s.core.Config(s.op("config"), session, volume.Epoch(args.number("epoch")), cfg)
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
		fmt.Fprintf(&s.out, "%s lossy=%v marks=%d crashes=%d\n", describe(r.Label), r.Lossy, r.MarksHash,
			r.Label.CrashGen)
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

func (s *coreScript) start(args scriptArgs) {
	s.reset(volume.Label{
		LegID: volume.LegID{UUID: scriptUUID(1)}, SizeBytes: 10 << 20,
		FenceEpoch: volume.Epoch(args.number("epoch")), Marked: args.text("marked") != "",
		AttachID: volume.AttachID{UUID: scriptUUID(byte(args.number("attach")))},
		OpenBoot: scriptUUID(byte(args.number("open_boot"))), Admit: args.text("admit") != "",
	}, byte(args.number("boot")))
}

func (s *coreScript) reset(l volume.Label, boot byte) {
	s.core, s.persist, s.syncs = NewCore(l, scriptUUID(boot), 7), nil, nil
	s.names, s.byName, s.opNames = map[SessionID]string{}, map[string]SessionID{}, map[OpID]string{}
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
		t.Fatal("no label is on its way")
	}
	l := *s.persist
	s.persist = nil
	l.SlotSeq++
	s.core.Persisted(l, scriptError(failure))
}

func (s *coreScript) effects() {
	for _, e := range s.core.Effects() {
		switch e.Kind {
		case EffectKill:
			fmt.Fprintf(&s.out, "kill %s\n", s.names[e.Session])
		case EffectPersist:
			s.persist = &e.Label
			fmt.Fprintf(&s.out, "persist %s\n", describe(e.Label))
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
