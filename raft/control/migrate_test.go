package control

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// TestStepOfMigration_everyCombination is the table of what becomes of a migration, for every set of facts.
func TestStepOfMigration_everyCombination(t *testing.T) {
	for bits := range 1 << 6 {
		set := func(i int) bool { return bits&(1<<i) != 0 }
		f := migrationFacts{switched: set(0), fromDead: set(1), toGone: set(2), late: set(3), free: set(4),
			held: set(5)}
		step := stepOfMigration(f)
		if !f.switched {
			// Nothing is taken from the old host, whatever happens, and the guest is not left between two hosts.
			require.Contains(t, []migrationStep{migrationWaits, migrationGives}, step, "%+v", f)
			require.Equal(t, f.fromDead || f.toGone || f.late, step == migrationGives, "%+v", f)
			continue
		}
		// There is no way back, and it never waits for a host that is dead, or for ever.
		require.NotEqual(t, migrationGives, step, "%+v", f)
		require.Equal(t, !f.free && !f.held, step == migrationEnds, "%+v", f)
		require.Equal(t, f.held && (f.fromDead || f.late), step == migrationTake, "%+v", f)
		if step == migrationWaits {
			require.True(t, f.held && !f.fromDead && !f.late && !f.free, "%+v", f)
		}
	}
}

// TestMigrationFacts_whoHasAVolume: what is granted waits for the old host's guest alone, not for whoever maintains the
// volume meanwhile, were that the new host itself.
func TestMigrationFacts_whoHasAVolume(t *testing.T) {
	w := newWorld(t)
	from, to := volume.NodeID{UUID: w.newID()}, volume.NodeID{UUID: w.newID()}
	d := &raft.Domain{Name: "web", Running: true, Host: to, Run: 2,
		Spec:      raft.DomainSpec{Name: "web", Volumes: []raft.DomainVolume{{Name: "root"}}},
		Migration: &raft.Migration{Operation: 1, From: from, To: to, Run: 2, Switched: true}}
	for name, c := range map[string]struct {
		attach     *raft.Attach
		free, held bool
	}{
		"detached":                {free: true},
		"the old host's":          {attach: &raft.Attach{Host: from, Domain: "web", Detaching: true}, held: true},
		"maintained by the old":   {attach: &raft.Attach{Host: from, Maintenance: true}, free: true},
		"maintained by the new":   {attach: &raft.Attach{Host: to, Maintenance: true}, free: true},
		"attached by an operator": {attach: &raft.Attach{Host: to}, free: true},
		"leaving the new host":    {attach: &raft.Attach{Host: to, Domain: "web", Detaching: true}, held: true},
		"granted to the new host": {attach: &raft.Attach{Host: to, Domain: "web"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := &raft.Volume{ID: volume.ID{UUID: w.newID()}, Name: "root", Attach: c.attach}
			w.state.Volumes = map[volume.ID]*raft.Volume{v.ID: v}
			f := w.view().migrationFacts(d)
			require.Equal(t, c.free, f.free)
			require.Equal(t, c.held, f.held)
		})
	}
}

// TestMigrationFacts_aNewHostThatWasNotHeardYet: who leads since just now, and was started just before, gives nothing
// up because of hosts that it has not heard yet; once it could have, it does.
func TestMigrationFacts_aNewHostThatWasNotHeardYet(t *testing.T) {
	w := newWorld(t)
	for _, line := range []string{"version 2", "node s1 storage", "node h1 host", "node h2 host", "volume v1 on=s1",
		"domain web driver=qemu volumes=v1 hosts=h1,h2", "start web h1", "serve v1", "guest web h1 running run=1",
		"advance 1s", "migrate web h2", "advance 1s"} {
		w.do(line)
	}
	d := w.state.Domains["web"]
	v := w.view()
	require.False(t, v.migrationFacts(d).toGone)
	v.Facts = NewFacts()
	v.Facts.Observe(w.state, v.Now)
	require.False(t, v.migrationFacts(d).toGone)
	v.Now = v.Now.Add(v.Timing.DaemonSilent)
	require.True(t, v.migrationFacts(d).toGone)
}

// migrationVerb executes the lines about migrations, false if it is none.
func (w *world) migrationVerb(words []string, arg func(int) string) bool {
	switch words[0] {
	case "version": // N
		n, err := strconv.Atoi(arg(1))
		require.NoError(w.t, err)
		w.must(raft.Command{RaiseVersion: &raft.RaiseVersion{To: n}})
	case "old": // NODE, whose daemon is of the release before
		w.old[arg(1)] = true
	case "upgraded": // NODE, likewise no more
		delete(w.old, arg(1))
	case "abort": // DOMAIN, as its hosts or an operator do
		d := w.state.Domains[arg(1)]
		w.must(raft.Command{AbortMigration: &raft.AbortMigration{ID: d.Migration.Operation, Name: d.Name, Run: d.Run,
			Reason: "the memory changes faster than it is copied"}})
	case "migrate": // DOMAIN HOST
		w.must(w.migrate(arg(1), arg(2)))
	case "pause": // DOMAIN
		w.must(raft.Command{PauseDomain: &raft.PauseDomain{Name: arg(1), Paused: true}})
	case "resume": // DOMAIN
		w.must(raft.Command{PauseDomain: &raft.PauseDomain{Name: arg(1)}})
	case "switch": // DOMAIN, as its old host does
		d := w.state.Domains[arg(1)]
		c := &raft.SwitchMigration{ID: d.Migration.Operation, Name: d.Name, Run: d.Run}
		for _, use := range d.Spec.Volumes {
			c.Epochs = append(c.Epochs, w.volume(use.Name).Epoch)
		}
		w.must(raft.Command{SwitchMigration: c})
	default:
		return false
	}
	return true
}

func (w *world) migrate(name, host string) raft.Command {
	return raft.Command{BeginMigration: &raft.BeginMigration{Request: w.newID(), Name: name, Host: w.node(host).ID,
		Run: w.state.Domains[name].Run}}
}
