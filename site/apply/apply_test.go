package apply

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/domain/definition"
	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/site/plan"
	"github.com/holdfast-storage/holdfast/volume"
)

var seed = flag.Uint64("seed", 0, "of the random sites, instead of many")

// random returns a site of three servers and some guests. Two of one draw differ in what can be changed alone.
func random(r *rand.Rand) *site.Site {
	pick := func(n int) int { return r.IntN(n) }
	s := &site.Site{Cluster: site.Cluster{Name: "prod", OverProvision: 100 + 50*pick(2),
		ReplaceAfter: site.After{Never: pick(2) == 0}}}
	for i := range 3 {
		s.Servers = append(s.Servers, site.Server{Name: fmt.Sprintf("n%d", i+1), Zone: []string{"", "a", "b"}[pick(3)]})
	}
	for i := range pick(4) {
		name := fmt.Sprintf("g%d", i)
		g := site.Guest{Name: name, State: []site.State{site.Running, site.Stopped, site.AsItIs}[pick(3)]}
		for k := range 1 + pick(2) {
			v := site.Volume{Name: fmt.Sprintf("%s-%d", name, k), SizeBytes: 1 << 30, Layout: volume.Mirror(2),
				Durability: volume.DurabilityFlush, UnflushedLoss: volume.LossWait}
			v.Limit.IOPS = []int64{0, 100, 200}[pick(3)]
			v.ScrubEvery = []time.Duration{0, time.Hour}[pick(2)]
			v.ReplaceAfter.Time = []time.Duration{0, time.Minute}[pick(2)]
			if pick(2) == 0 {
				v.Exports = append(v.Exports, site.Export{Kind: volume.ExportISCSI, Open: pick(2) == 0})
			}
			if k > 0 {
				v.ApartFrom = []string{fmt.Sprintf("%s-0", name)}
			}
			g.Volumes = append(g.Volumes, v)
		}
		if pick(4) > 0 {
			hosts := []string{"n1", "n2", "n3"}
			r.Shuffle(3, func(a, b int) { hosts[a], hosts[b] = hosts[b], hosts[a] })
			g.Home = hosts[0]
			g.Definition = &definition.Definition{Name: name, Driver: "exec", Hosts: hosts,
				Settings: []byte(`{"command":["x"]}`),
				Policy:   guest.Policy{StopSeconds: 10 + pick(2), StartOrder: pick(2)}}
			for _, v := range g.Volumes {
				g.Definition.Volumes = append(g.Definition.Volumes, guest.Volume{Name: v.Name})
			}
		}
		s.Guests = append(s.Guests, g)
	}
	return s
}

func seeds() []uint64 {
	if *seed != 0 {
		return []uint64{*seed}
	}
	var all []uint64
	for i := range 100 {
		all = append(all, uint64(i)+1)
	}
	return all
}

// whole allows everything, as somebody who wants the cluster to be the site and nothing else.
func whole(f *fake, s *site.Site) plan.Allow {
	allow := plan.Allow{RestartAll: true, Prune: true}
	for _, v := range f.volumes {
		keep := slices.ContainsFunc(s.Guests, func(g site.Guest) bool {
			return slices.ContainsFunc(g.Volumes, func(w site.Volume) bool { return w.Name == v.Name })
		})
		if !keep {
			allow.DeleteVolumes = append(allow.DeleteVolumes, v.Name)
		}
	}
	return allow
}

// Whatever there was, afterwards it is what the site says, but for what is held, and the same again does nothing.
func TestRun_makesItSo(t *testing.T) {
	for _, n := range seeds() {
		r := rand.New(rand.NewPCG(n, 1))
		f := newFake("n1", "n2", "n3")
		for round := range 4 {
			s := random(r)
			o := Options{Site: s, Client: f, Allow: whole(f, s)}
			result, err := Run(t.Context(), o)
			require.NoErrorf(t, err, "-seed %d, round %d", n, round)
			require.Emptyf(t, result.Left.Open(), "-seed %d, round %d", n, round)
			f.calls = nil
			again, err := Run(t.Context(), o)
			require.NoError(t, err)
			require.Emptyf(t, f.calls, "-seed %d, round %d", n, round)
			require.Equal(t, result.Left, again.Left)
		}
	}
}

// Cut off before any of its steps, the same goes on where it ended, and ends in the same.
func TestRun_interrupted(t *testing.T) {
	errCut := errors.New("cut off")
	for _, n := range seeds() {
		base := newFake("n1", "n2", "n3")
		r := rand.New(rand.NewPCG(n, 2))
		before, after := random(r), random(r)
		_, err := Run(t.Context(), Options{Site: before, Client: base, Allow: whole(base, before)})
		require.NoError(t, err)
		straight := base.copy()
		_, err = Run(t.Context(), Options{Site: after, Client: straight, Allow: whole(base, after)})
		require.NoError(t, err)
		for cut := range len(straight.calls) {
			f := base.copy()
			f.meddle = func() error {
				if len(f.calls) == cut+1 {
					return errCut
				}
				return nil
			}
			result, err := Run(t.Context(), Options{Site: after, Client: f, Allow: whole(base, after)})
			require.ErrorIsf(t, err, errCut, "-seed %d, cut %d", n, cut)
			require.Len(t, result.Done, cut)
			f.meddle = nil
			_, err = Run(t.Context(), Options{Site: after, Client: f, Allow: whole(base, after)})
			require.NoErrorf(t, err, "-seed %d, cut %d", n, cut)
			require.Equalf(t, straight.state(), f.state(), "-seed %d, cut %d", n, cut)
		}
	}
}

// copy returns the cluster with nothing called yet.
func (f *fake) copy() *fake {
	c := *f
	c.calls, c.meddle = nil, nil
	c.nodes, c.volumes, c.domains = slices.Clone(f.nodes), slices.Clone(f.volumes), slices.Clone(f.domains)
	return &c
}

func (f *fake) state() []any { return []any{f.cluster, f.nodes, f.volumes, f.domains} }

// one returns a site of one server and one guest, and a cluster with nothing in it.
func one() (*site.Site, *fake) {
	s := &site.Site{Cluster: site.Cluster{Name: "prod", OverProvision: 100}, Servers: []site.Server{{Name: "n1"}},
		Guests: []site.Guest{{Name: "web1", State: site.Running, Home: "n1", Definition: &definition.Definition{
			Name: "web1", Driver: "exec", Hosts: []string{"n1"}, Volumes: []guest.Volume{{Name: "web1"}},
			Settings: []byte(`{"command":["x"]}`)}, Volumes: []site.Volume{{Name: "web1", SizeBytes: 1 << 30,
			Layout: volume.Mirror(2), Durability: volume.DurabilityFlush, UnflushedLoss: volume.LossWait}}}}}
	return s, newFake("n1")
}

func TestRun_theRevisionThatWasSeen(t *testing.T) {
	s, f := one()
	p, err := Plan(t.Context(), Options{Site: s, Client: f})
	require.NoError(t, err)
	_, err = f.CreateVolume(t.Context(), api.CreateVolume{Name: "other", ScrubEverySeconds: new(int64)})
	require.NoError(t, err)
	again, err := Plan(t.Context(), Options{Site: s, Client: f})
	require.NoError(t, err)
	require.Equal(t, p.Revision, again.Revision, "what the site does not speak of does not matter")
	f.cluster.OverProvision, f.calls = 150, nil
	_, err = Run(t.Context(), Options{Site: s, Client: f, Revision: p.Revision})
	require.ErrorContains(t, err, "what is to be done is not what plan "+p.Revision+" says any more")
	require.Empty(t, f.calls)
	f.cluster.OverProvision = 100
	_, err = Run(t.Context(), Options{Site: s, Client: f, Revision: p.Revision})
	require.NoError(t, err)
}

// Somebody changes the cluster while a plan is carried out: what matters ends it, what does not, does not.
func TestRun_theClusterChangesMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		meddle func(*fake)
		err    string
	}{
		"somebody defines the domain": {func(f *fake) {
			f.domains = append(f.domains, api.Domain{Name: "web1", Spec: api.DomainSpec{Name: "web1", Driver: "qemu"}})
		}, "define_domain domain/web1 was planned, and is not what is to be done now"},
		"somebody does what was planned": {func(f *fake) {
			s, _ := one()
			f.domains = append(f.domains, api.Domain{Name: "web1", Spec: site.SpecOf(*s.Guests[0].Definition)})
		}, "define_domain domain/web1 was planned"},
		"somebody makes what nobody speaks of": {func(f *fake) {
			f.volumes = append(f.volumes, api.Volume{ID: "v9", Name: "other"})
		}, ""},
		"something else is to be done, too": {func(f *fake) { f.cluster.OverProvision = 150 }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, f := one()
			f.meddle = func() error {
				if len(f.calls) == 1 {
					c.meddle(f)
				}
				return nil
			}
			result, err := Run(t.Context(), Options{Site: s, Client: f})
			if c.err == "" {
				require.NoError(t, err)
				require.Len(t, result.Done, 3)
				return
			}
			require.ErrorContains(t, err, c.err)
			require.Equal(t, []string{"create volume web1"}, f.calls)
			require.Len(t, result.Done, 1)
		})
	}
}

// A volume that was deleted and made anew under its name is another one.
func TestRun_aNameOfAnother(t *testing.T) {
	s, f := one()
	o := Options{Site: s, Client: f}
	_, err := Run(t.Context(), o)
	require.NoError(t, err)
	s.Cluster.OverProvision, s.Guests[0].Volumes[0].Limit.IOPS = 150, 100
	f.calls = nil
	f.meddle = func() error {
		f.volumes[0].ID = "v9"
		return nil
	}
	_, err = Run(t.Context(), o)
	require.ErrorContains(t, err, "set_limit volume/web1 was planned")
	require.Equal(t, []string{"set cluster"}, f.calls)
}

func TestRun_conflictsAreRefusedAtOnce(t *testing.T) {
	s, f := one()
	_, err := Run(t.Context(), Options{Site: s, Client: f})
	require.NoError(t, err)
	f.calls = nil
	s.Cluster.OverProvision, s.Guests[0].Volumes[0].SizeBytes = 150, 2<<30
	_, err = Run(t.Context(), Options{Site: s, Client: f})
	require.ErrorContains(t, err, "volume/web1: size is 1G, the site says 2G: a volume keeps what it was made with")
	require.Empty(t, f.calls)
}

// What is held is left, and told.
func TestRun_heldIsLeft(t *testing.T) {
	s, f := one()
	_, err := Run(t.Context(), Options{Site: s, Client: f})
	require.NoError(t, err)
	f.calls = nil
	s.Guests[0].Definition.Policy.StopSeconds, s.Guests[0].Volumes[0].Limit.IOPS = 30, 100
	result, err := Run(t.Context(), Options{Site: s, Client: f})
	require.NoError(t, err)
	require.Equal(t, []string{"set volume v1"}, f.calls)
	require.Len(t, result.Left.Held(), 3)
	require.Equal(t, "n1", f.domains[0].Host, "the guest goes on")
}

// A machine that was installed anew takes its place, and its guests come home.
func TestRun_aMachineInstalledAnew(t *testing.T) {
	s, f := one()
	s.Servers = append(s.Servers, site.Server{Name: "n2"})
	s.Guests[0].Definition.Hosts, f.nodes = []string{"n1", "n2"}, append(f.nodes, api.Node{ID: "id-n2", Name: "n2",
		State: api.NodeUp})
	_, err := Run(t.Context(), Options{Site: s, Client: f})
	require.NoError(t, err)
	f.nodes[0].State, f.domains[0].Host, f.volumes[0].Attachment.Host = api.NodeDown, "n2", "n2"
	result, err := Run(t.Context(), Options{Site: s, Client: f})
	require.NoError(t, err)
	require.Empty(t, result.Left.Steps, "while its home is down it is where it has to be")

	f.nodes = append(f.nodes, api.Node{ID: "id-new", Name: "n1", State: api.NodePending, PID: 7})
	result, err = Run(t.Context(), Options{Site: s, Client: f, Allow: plan.Allow{RestartAll: true}})
	require.NoError(t, err)
	require.Len(t, result.Done, 1)
	require.Equal(t, plan.ReplaceNode, result.Done[0].Kind)
	require.Len(t, result.Left.Open(), 2, "what came to be needed is told, and not done unseen")
	_, err = Run(t.Context(), Options{Site: s, Client: f, Allow: plan.Allow{RestartAll: true}})
	require.NoError(t, err)
	require.Equal(t, "n1", f.domains[0].Host)
}

// The table of actions is total: every kind of step can be done, and nothing else. What only a machine can do says so.
func TestActions_areTotal(t *testing.T) {
	for _, k := range plan.Kinds() {
		require.Contains(t, actions(), k)
	}
	require.Len(t, actions(), len(plan.Kinds()))
	err := do(t.Context(), newFake(), plan.Step{Kind: plan.JoinNode, Object: "node/n1", Held: "somebody"})
	require.ErrorContains(t, err, "node n1 waits for somebody")
	require.ErrorContains(t, do(t.Context(), newFake(), plan.Step{Kind: "frob", Object: "node/n1"}), "how to frob")
}

// TestClient_theRealOneIsOne holds that what is tested here can be used.
func TestClient_theRealOneIsOne(t *testing.T) {
	client, err := api.NewClient(api.ClientOptions{Endpoints: "unix://" + t.TempDir() + "/none", Patience: -1})
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Run(ctx, Options{Site: &site.Site{}, Client: client})
	require.Error(t, err)
}
