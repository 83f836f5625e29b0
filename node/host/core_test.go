package host

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// script runs the core by commands, each of which prints the actions that became due and what is
// reported. Volumes and attachments are named by words: their ids are made from them.
//
//	assign rev=N [restored=G] [attach=(volume/attach/epoch[/detach], …)] [domain=(name/run/volume@epoch, …)]
//	       [migrate=(name/operation)] [taken_in=(name/operation)] [receive=(name/operation/run/volume…, …)]
//	       [paused=(name, …)] [unregistered]                         what the coordinators want
//	engine volume=V attach=A epoch=E state=S      what a running engine says
//	gone volume=V attach=A                        its process ended
//	guest name=D run=N phase=P [disks=(V/A, …)] [incoming=N] [sending=N] [paused]
//	                                              what a driver says of the latest run
//	done volume=V | name=D [err]                  its action ended
//	guarded name=D volume=V attach=A · settled name=D run=N · forgotten name=D
//	tick DURATION                                 time passes
type script struct {
	core *core
	now  time.Duration
}

func TestCore_scripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{core: newCore("/run", nil)}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.run(t, d)
			return s.output()
		})
	})
}

func (s *script) run(t *testing.T, d *datadriven.TestData) {
	text := func(key string) (value string) {
		if d.HasArg(key) {
			d.ScanArgs(t, key, &value)
		}
		return value
	}
	number := func(key string) uint64 {
		n, err := strconv.ParseUint(text(key), 10, 64)
		require.NoError(t, err, d.Pos)
		return n
	}
	var failed error
	if d.HasArg("err") {
		failed = errors.New("it failed")
	}
	switch d.Cmd {
	case "spent":
		s.core = newCore("/run",
			map[volume.ID]volume.AttachID{volumeID(text("volume")): attachID(text("attach"))})
	case "assign":
		s.core.assign(assignment(t, d, number("rev")))
	case "engine":
		s.core.engineSeen(text("volume"), peer.EngineStatus{
			Volume: volumeID(text("volume")), AttachID: attachID(text("attach")),
			Epoch: volume.Epoch(number("epoch")), State: peer.EngineState(text("state")),
			Exports: []volume.Offer{{Type: "nbd", URL: "nbd:" + text("volume")}},
		}, s.now)
	case "gone":
		s.core.engineGone(volumeID(text("volume")), attachID(text("attach")), s.now)
	case "guest":
		g := guest{pid: 10, state: domain.State{Phase: domain.Phase(text("phase"))},
			order: domain.Order{Name: text("name"), Run: number("run")}}
		if d.HasArg("incoming") {
			g.order.Incoming = number("incoming")
		}
		if d.HasArg("sending") {
			g.state.Sending = number("sending")
		}
		g.state.Paused = d.HasArg("paused")
		for _, disk := range list(d, "disks") {
			v, a, _ := strings.Cut(disk, "/")
			d := domain.Volume{ID: volumeID(v), Name: v}
			if a != "" {
				d.AttachID = attachID(a)
			}
			g.order.Volumes = append(g.order.Volumes, d)
		}
		s.core.guestSeen(g)
	case "done":
		if d.HasArg("volume") {
			s.core.volumeDone(volumeID(text("volume")), s.now, failed)
		} else {
			s.core.domainDone(text("name"), s.now, failed)
		}
	case "guarded":
		s.core.guestGuarded(text("name"), volumeID(text("volume")), attachID(text("attach")))
	case "settled":
		s.core.guestSettled(text("name"), number("run"))
	case "forgotten":
		s.core.guestForgotten(text("name"))
	case "tick":
		step, err := time.ParseDuration(d.CmdArgs[0].Key)
		require.NoError(t, err, d.Pos)
		s.now += step
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
}

func (s *script) output() string {
	var out strings.Builder
	actions, wait := s.core.step(s.now)
	for _, a := range actions {
		fmt.Fprintf(&out, "-> %s %s", a.job, a.name)
		if a.ticket != nil {
			fmt.Fprintf(&out, " epoch=%s", a.ticket.Epoch)
		}
		if a.order != nil {
			fmt.Fprintf(&out, " run=%d driver=%s dir=%s", a.order.Run, a.order.Driver, a.order.Dir)
			if a.order.Incoming != 0 {
				fmt.Fprintf(&out, " by operation %d", a.order.Incoming)
			}
			for _, v := range a.order.Volumes {
				if v.SizeBytes != 0 {
					fmt.Fprintf(&out, " %s of %d", v.Name, v.SizeBytes)
					continue
				}
				fmt.Fprintf(&out, " %s=%s@%s", v.Name, v.URL, v.Epoch)
			}
		}
		if a.operation != 0 {
			fmt.Fprintf(&out, " of operation %d", a.operation)
		}
		if a.grace > 0 {
			out.WriteString(" gracefully")
		}
		out.WriteByte('\n')
	}
	if wait > 0 {
		fmt.Fprintf(&out, "   again in %s\n", wait)
	}
	for _, o := range s.core.sendings() {
		fmt.Fprintf(&out, "   sending %s run=%d by operation %d\n", o.name, o.run, o.Operation)
	}
	engines, domains := s.core.report()
	for _, e := range engines {
		fmt.Fprintf(&out, "   engine epoch=%s %s\n", e.Epoch, e.State)
	}
	for _, d := range domains {
		fmt.Fprintf(&out, "   domain %s run=%d %s %s\n", d.Name, d.Run, d.State, d.Error)
	}
	if out.Len() == 0 {
		return "nothing\n"
	}
	return out.String()
}

func assignment(t *testing.T, d *datadriven.TestData, revision uint64) peer.Assignment {
	a := peer.Assignment{Revision: revision, Registered: !d.HasArg("unregistered")}
	if d.HasArg("restored") {
		d.ScanArgs(t, "restored", &a.Generation)
		a.Incarnation.UUID[0] = byte(a.Generation)
	}
	for _, text := range list(d, "attach") {
		f := strings.Split(text, "/")
		a.Attach = append(a.Attach, peer.Ticket{Volume: volumeID(f[0]), Name: f[0], AttachID: attachID(f[1]),
			Epoch: epoch(t, f[2]), Detach: slices.Contains(f[3:], "detach"),
			Maintenance: slices.Contains(f[3:], "maintenance")})
	}
	for _, text := range list(d, "domain") {
		f := strings.Split(text, "/")
		run, err := strconv.ParseUint(f[1], 10, 64)
		require.NoError(t, err)
		order := peer.DomainOrder{Name: f[0], Run: run, Spec: raft.DomainSpec{Name: f[0], Driver: "exec",
			Exec: &raft.ExecSpec{Command: []string{"guest"}}}}
		for _, disk := range f[2:] {
			name, e, _ := strings.Cut(disk, "@")
			order.Spec.Volumes = append(order.Spec.Volumes, raft.DomainVolume{Name: name})
			order.Volumes = append(order.Volumes, volumeID(name))
			order.Epochs = append(order.Epochs, epoch(t, e))
		}
		a.Domains = append(a.Domains, order)
	}
	for i := range a.Domains {
		a.Domains[i].Paused = slices.Contains(list(d, "paused"), a.Domains[i].Name)
	}
	migrations(t, d, &a)
	return a
}

// migrations adds to an assignment what it says of guests that move while they run.
func migrations(t *testing.T, d *datadriven.TestData, a *peer.Assignment) {
	number := func(text string) uint64 {
		n, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		return n
	}
	for i := range a.Domains {
		order := &a.Domains[i]
		for _, text := range list(d, "migrate") {
			if name, operation, _ := strings.Cut(text, "/"); name == order.Name {
				order.Migrate = &peer.MigrateOrder{Operation: number(operation)}
			}
		}
		for _, text := range list(d, "taken_in") {
			if name, operation, _ := strings.Cut(text, "/"); name == order.Name {
				order.TakenIn = number(operation)
			}
		}
	}
	for _, text := range list(d, "receive") {
		f := strings.Split(text, "/")
		order := peer.ReceiveOrder{Name: f[0], Operation: number(f[1]), Run: number(f[2]),
			Spec: raft.DomainSpec{Name: f[0], Driver: "qemu"}}
		for _, name := range f[3:] {
			order.Spec.Volumes = append(order.Spec.Volumes, raft.DomainVolume{Name: name})
			order.Volumes, order.SizeBytes = append(order.Volumes, volumeID(name)), append(order.SizeBytes, 4096)
		}
		a.Receive = append(a.Receive, order)
	}
}

func epoch(t *testing.T, text string) volume.Epoch {
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err)
	return volume.Epoch(n)
}

// list returns the values of an argument, none when it is absent.
func list(d *datadriven.TestData, key string) []string {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			return a.Vals
		}
	}
	return nil
}

func volumeID(word string) volume.ID       { return volume.ID{UUID: wordID(word)} }
func attachID(word string) volume.AttachID { return volume.AttachID{UUID: wordID(word)} }

func wordID(word string) volume.UUID {
	h := fnv.New128a()
	h.Write([]byte(word))
	return volume.UUID(h.Sum(nil))
}
