package raft

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/volume"
)

// pulses drives a Liveness in virtual time: every step of an interval the named hosts beat, then it
// is checked.
type pulses struct {
	*Liveness
	*script
	now   time.Time
	hosts []volume.NodeID
	last  Verdict
	died  map[string]time.Duration // silence when found dead
}

func newPulses(t *testing.T, o LivenessOptions, hosts ...string) *pulses {
	p := &pulses{script: newScript(t), now: at(), died: make(map[string]time.Duration)}
	p.Liveness = NewLiveness(o, p.now)
	for _, h := range hosts {
		p.hosts = append(p.hosts, p.node(h))
	}
	return p
}

// run lets the named hosts beat for a while.
func (p *pulses) run(d time.Duration, beating ...string) {
	for end := p.now.Add(d); p.now.Before(end); {
		p.now = p.now.Add(500 * time.Millisecond)
		for _, h := range beating {
			p.Heard(p.node(h), p.now)
		}
		p.last = p.Check(p.hosts, p.now)
		for _, c := range p.last.Changes {
			if c.To == NodeDead {
				p.died[p.names[c.Node.String()]] = c.Silent
			}
		}
	}
}

func (p *pulses) dead() []string {
	var names []string
	for _, n := range p.last.Dead {
		names = append(names, p.names[n.String()])
	}
	return names
}

func (p *pulses) is(host string) Condition { return p.Condition(p.node(host), p.now) }

func TestLiveness_SilenceMakesSuspectThenDead(t *testing.T) {
	p := newPulses(t, LivenessOptions{}, "h1", "h2")
	p.run(5*time.Second, "h1", "h2")
	require.Equal(t, NodeAlive, p.is("h1"))
	p.run(500*time.Millisecond, "h1")
	require.Equal(t, NodeAlive, p.is("h2"))
	p.run(500*time.Millisecond, "h1")
	require.Equal(t, NodeSuspect, p.is("h2"))
	p.run(500*time.Millisecond, "h1")
	require.Empty(t, p.dead())
	p.run(500*time.Millisecond, "h1")
	require.Equal(t, []string{"h2"}, p.dead(), "one of two hosts is no reason to brake")
	require.Equal(t, 2*time.Second, p.died["h2"], "dead after exactly the timeout")
	require.Equal(t, 2*time.Second, p.Silent(p.node("h2"), p.now))
}

func TestLiveness_ComesBackAfterSeveralBeatsOnly(t *testing.T) {
	p := newPulses(t, LivenessOptions{}, "h1", "h2", "h3")
	p.run(3*time.Second, "h1", "h2", "h3")
	p.run(3*time.Second, "h1", "h2")
	require.Equal(t, []string{"h3"}, p.dead())
	p.run(time.Second, "h1", "h2", "h3") // two beats
	require.Equal(t, []string{"h3"}, p.dead())
	p.run(3*time.Second, "h1", "h2") // and silence again: the count begins anew
	p.run(time.Second, "h1", "h2", "h3")
	require.Equal(t, []string{"h3"}, p.dead())
	p.run(500*time.Millisecond, "h1", "h2", "h3")
	require.Empty(t, p.dead())
	require.Equal(t, NodeAlive, p.is("h3"))
}

// A host that is only slow is found dead later and later; one that is steady again, or was really away, as before.
func TestLiveness_aSlowHostGetsMoreTime(t *testing.T) {
	p := newPulses(t, LivenessOptions{}, "h1", "h2", "h3")
	vanish := func() time.Duration { // and be heard again half a second after it was found dead
		delete(p.died, "h3")
		for p.died["h3"] == 0 {
			p.run(500*time.Millisecond, "h1", "h2")
		}
		p.run(3*time.Second, "h1", "h2", "h3")
		require.Equal(t, NodeAlive, p.is("h3"))
		return p.died["h3"]
	}
	p.run(3*time.Second, "h1", "h2", "h3")
	for _, silent := range []time.Duration{2, 2, 4, 8, 8} {
		require.Equal(t, silent*time.Second, vanish())
	}
	p.run(61*time.Second, "h1", "h2", "h3")
	require.Equal(t, 2*time.Second, vanish(), "it was steady for a minute")
	require.Equal(t, 2*time.Second, vanish())
	p.run(61*time.Second, "h1", "h2", "h3")
	for range 4 { // it goes, and stays away
		p.run(5*time.Second, "h1", "h2")
		require.Equal(t, 2*time.Second, p.died["h3"])
		p.run(3*time.Second, "h1", "h2", "h3")
	}
	p.run(2*time.Second, "h1", "h3")
	require.Equal(t, 2*time.Second, p.died["h2"], "another host is not meant")
}

// A host that lost its power and is back at once was not found dead too early: its daemon was started anew.
func TestLiveness_whoWasStartedAnewWasNotSlow(t *testing.T) {
	p := newPulses(t, LivenessOptions{}, "h1", "h2", "h3")
	p.run(3*time.Second, "h1", "h2", "h3")
	for start := range uint64(5) {
		p.HeardDaemon(p.node("h3"), start+1, p.now)
		p.run(3*time.Second, "h1", "h2", "h3")
		require.Equal(t, NodeAlive, p.is("h3"))
		delete(p.died, "h3")
		for p.died["h3"] == 0 {
			p.run(500*time.Millisecond, "h1", "h2")
		}
		require.Equal(t, 2*time.Second, p.died["h3"], start)
	}

	p.HeardDaemon(p.node("h3"), 5, p.now) // it is the same one: it was slow, for the first time in a minute
	for _, silent := range []time.Duration{2, 4} {
		p.run(3*time.Second, "h1", "h2", "h3")
		delete(p.died, "h3")
		for p.died["h3"] == 0 {
			p.run(500*time.Millisecond, "h1", "h2")
		}
		require.Equal(t, silent*time.Second, p.died["h3"])
		p.HeardDaemon(p.node("h3"), 5, p.now)
	}
	for range 12 { // started anew before it is found dead: it was not late, and what it was before wears off
		p.run(3*time.Second, "h1", "h2", "h3")
		p.run(2500*time.Millisecond, "h1", "h2")
		p.HeardDaemon(p.node("h3"), uint64(p.now.UnixNano()), p.now)
	}
	require.Equal(t, 2*time.Second, p.Bound(p.node("h3"), p.now))
}

// doubt finds each of some hosts dead too early n times, one after the other.
func (p *pulses) doubt(n int, slow, steady []string) {
	all := slices.Concat(slow, steady)
	for range n {
		for _, h := range slow {
			delete(p.died, h)
			for p.died[h] == 0 {
				others := slices.DeleteFunc(slices.Clone(all), func(o string) bool { return o == h })
				p.run(500*time.Millisecond, others...)
			}
			p.run(2*time.Second, all...)
			require.Equal(p.t, NodeAlive, p.is(h))
		}
	}
}

// Hosts that get more time have vanished with the others: the brake does not wait for them.
func TestLiveness_theBrakeCountsHostsThatGetMoreTime(t *testing.T) {
	for doubts := range doubtsMax + 1 {
		p := newPulses(t, LivenessOptions{Voters: 3}, "h1", "h2", "h3")
		p.run(3*time.Second, "h1", "h2", "h3")
		p.doubt(doubts, []string{"h2", "h3"}, []string{"h1"})
		p.run(time.Second, "h1", "h2", "h3")
		for range 20 {
			p.run(500 * time.Millisecond)
			require.Empty(t, p.dead(), doubts)
		}
		require.NotEmpty(t, p.last.Braked, doubts)
	}
}

// A sign of life that is told late says nothing of a host that really went.
func TestLiveness_aLateReportIsNoWrongVerdict(t *testing.T) {
	p := newPulses(t, LivenessOptions{}, "h1", "h2", "h3")
	p.run(3*time.Second, "h1", "h2", "h3")
	for range 4 {
		delete(p.died, "h3")
		for p.died["h3"] == 0 {
			p.run(500*time.Millisecond, "h1", "h2")
		}
		require.Equal(t, 2*time.Second, p.died["h3"])
		p.Report(p.node("n2"), []Sign{{p.node("h3"), p.died["h3"] - 10*time.Millisecond}}, p.now)
		p.run(5*time.Second, "h1", "h2")
		require.Equal(t, NodeDead, p.is("h3"))
		p.run(3*time.Second, "h1", "h2", "h3")
		require.Equal(t, NodeAlive, p.is("h3"))
	}
}

// A host that is late again and again is not steady, though no verdict is wrong any more.
func TestLiveness_whoIsLateStaysInDoubt(t *testing.T) {
	p := newPulses(t, LivenessOptions{}, "h1", "h2", "h3")
	deaths := 0
	for range 40 { // ten minutes
		p.run(12500*time.Millisecond, "h1", "h2", "h3")
		clear(p.died)
		p.run(2500*time.Millisecond, "h1", "h2")
		deaths += len(p.died)
		p.run(500*time.Millisecond, "h1", "h2", "h3")
	}
	require.Equal(t, 2, deaths)
	require.Equal(t, 4*time.Second, p.Bound(p.node("h3"), p.now))
	require.Equal(t, 2*time.Second, p.Bound(p.node("h1"), p.now))
	p.run(61*time.Second, "h1", "h2", "h3")
	require.Equal(t, 2*time.Second, p.Bound(p.node("h3"), p.now))
}

// Who leads again has forgotten its doubts, as every new leader: they were about what it saw then.
func TestLiveness_whoLeadsAnewHasNoDoubts(t *testing.T) {
	p := newPulses(t, LivenessOptions{}, "h1", "h2", "h3")
	p.run(3*time.Second, "h1", "h2", "h3")
	p.doubt(2, []string{"h3"}, []string{"h1", "h2"})
	require.Equal(t, 4*time.Second, p.Bound(p.node("h3"), p.now))
	p.Lead(p.now)
	require.Equal(t, 2*time.Second, p.Bound(p.node("h3"), p.now))
}

func TestLiveness_GraceAfterElection(t *testing.T) {
	p := newPulses(t, LivenessOptions{}, "h1", "h2")
	p.run(1500*time.Millisecond, "h1")
	require.Equal(t, NodeUnknown, p.is("h2"))
	require.Empty(t, p.dead())
	p.run(500*time.Millisecond, "h1")
	require.Equal(t, []string{"h2"}, p.dead(), "never heard in the whole grace period")

	p.Lead(p.now) // leads anew: what was dead gets the grace period again
	require.NotEqual(t, NodeDead, p.is("h2"))
	p.run(1500*time.Millisecond, "h1")
	require.Empty(t, p.dead())
	p.run(500*time.Millisecond, "h1")
	require.Equal(t, []string{"h2"}, p.dead())
}

// A coordinator that was paused itself heard nobody: that proves nothing.
func TestLiveness_OwnPauseIsNotHeldAgainstHosts(t *testing.T) {
	p := newPulses(t, LivenessOptions{}, "h1", "h2", "h3")
	p.run(3*time.Second, "h1", "h2", "h3")
	p.now = p.now.Add(time.Minute)
	p.run(500 * time.Millisecond)
	require.Empty(t, p.dead())
	require.Empty(t, p.last.Braked)
	p.run(3*time.Second, "h1", "h2")
	require.Equal(t, []string{"h3"}, p.dead())
}

func TestLiveness_BrakeWhenMostHostsVanishAtOnce(t *testing.T) {
	p := newPulses(t, LivenessOptions{Voters: 3}, "h1", "h2", "h3")
	p.run(3*time.Second, "h1", "h2", "h3")
	p.run(5*time.Second, "h1")
	require.Empty(t, p.dead())
	require.Contains(t, p.last.Braked, "2 of 3 hosts vanished")
	p.run(time.Minute, "h1")
	require.NotEmpty(t, p.last.Braked, "it does not wear off")

	p.run(2*time.Second, "h1", "h2") // one returns
	require.Equal(t, []string{"h3"}, p.dead())
	require.Empty(t, p.last.Braked)
}

func TestLiveness_NoBrakeForHostsThatDieOneByOne(t *testing.T) {
	p := newPulses(t, LivenessOptions{}, "h1", "h2", "h3")
	p.run(3*time.Second, "h1", "h2", "h3")
	p.run(20*time.Second, "h1", "h2")
	p.run(5*time.Second, "h1")
	require.Equal(t, []string{"h2", "h3"}, p.dead())
}

func TestLiveness_OperatorReleasesTheBrake(t *testing.T) {
	p := newPulses(t, LivenessOptions{}, "h1", "h2", "h3")
	p.run(3*time.Second, "h1", "h2", "h3")
	p.run(5*time.Second, "h1")
	require.NotEmpty(t, p.last.Braked)
	p.Release()
	p.run(500*time.Millisecond, "h1")
	require.Equal(t, []string{"h2", "h3"}, p.dead())
	p.run(3*time.Second, "h1", "h2", "h3") // all are back: the next incident is another one
	p.run(5*time.Second, "h1")
	require.NotEmpty(t, p.last.Braked)
}

// Other coordinators' words: a host that any of them hears is alive; hosts that a majority does not
// hear are gone, however many.
func TestLiveness_OtherCoordinatorsReports(t *testing.T) {
	p := newPulses(t, LivenessOptions{Voters: 3}, "h1", "h2", "h3")
	follower, heard := p.node("n2"), []Sign{{Node: p.node("h2")}, {Node: p.node("h3")}}
	p.run(3*time.Second, "h1", "h2", "h3")
	for range 10 {
		p.Report(follower, heard, p.now)
		p.run(500*time.Millisecond, "h1")
	}
	require.Empty(t, p.dead(), "the follower hears them")
	require.Empty(t, p.last.Braked)
	for range 10 {
		p.Report(follower, nil, p.now)
		p.run(500*time.Millisecond, "h1")
	}
	require.Equal(t, []string{"h2", "h3"}, p.dead(), "two of three coordinators hear neither")
	p.run(3*time.Second, "h1") // the report is old: the leader is alone with its opinion
	require.NotEmpty(t, p.last.Braked)
}

// A report says how old each sign of life is, so a host that died is not found dead any later for it.
func TestLiveness_ReportsDoNotKeepTheDeadAlive(t *testing.T) {
	p := newPulses(t, LivenessOptions{}, "h1", "h2", "h3")
	follower := newPulses(t, LivenessOptions{}, "h1", "h2", "h3")
	p.run(5*time.Second, "h1", "h2", "h3")
	follower.run(5*time.Second, "h1", "h2", "h3")
	for range 4 {
		p.Report(p.node("n2"), follower.Hears(follower.now), p.now)
		p.run(500*time.Millisecond, "h1", "h2")
		follower.run(500*time.Millisecond, "h1", "h2")
	}
	require.Equal(t, []string{"h3"}, p.dead())
	require.Equal(t, 2*time.Second, p.died["h3"])
}

// A heartbeat that both hear is one heartbeat, and an old one that is told late brings nobody back.
func TestLiveness_OneHeartbeatHeardTwiceIsOne(t *testing.T) {
	p := newPulses(t, LivenessOptions{}, "h1", "h2", "h3")
	p.run(3*time.Second, "h1", "h2", "h3")
	p.run(3*time.Second, "h1", "h2")
	for range 2 {
		p.run(500*time.Millisecond, "h1", "h2", "h3")
		p.Heard(p.node("h3"), p.now.Add(time.Millisecond))
		p.Report(p.node("n2"), []Sign{{p.node("h3"), 3 * time.Millisecond}}, p.now.Add(2*time.Millisecond))
	}
	p.run(500*time.Millisecond, "h1", "h2")
	require.Equal(t, []string{"h3"}, p.dead(), "two heartbeats, each heard three times")
}

func TestLiveness_HearsAndForgets(t *testing.T) {
	p := newPulses(t, LivenessOptions{}, "h1", "h2")
	p.run(3*time.Second, "h1", "h2")
	p.run(3*time.Second, "h1")
	p.now = p.now.Add(300 * time.Millisecond)
	require.Equal(t, []Sign{{p.node("h1"), 300 * time.Millisecond}}, p.Hears(p.now))
	p.Forget(p.node("h1"))
	require.Empty(t, p.Hears(p.now))
}

func TestWaitClock(t *testing.T) {
	s, now := newScript(t), at()
	s.apply(`init_cluster demo
		register n1 storage stores=s1
		register n2 storage stores=s2
		register n3 storage stores=s3
		register h1 host
		create web A@n1/s1 B@n2/s2 C@n3/s3 layout:mirror:3
		provisioned web A
		provisioned web B
		provisioned web C
		begin web h1 a1
		fence web A e=1
		fence web B e=1
		activate web e=1 waited
		begin web h1 a2 takeover`)
	id := s.vol("web")
	w := NewWaitClock(4 * time.Second)
	pass := func(d time.Duration) { now = now.Add(d); w.Observe(s.state, now) }
	pass(time.Hour)
	require.Equal(t, 5*time.Second, w.Left(id, 2, now), "nothing is fenced yet")
	s.apply("fence web C e=2") // not in sync: it stops nobody's reads
	pass(time.Hour)
	require.Equal(t, 5*time.Second, w.Left(id, 2, now))
	s.apply("fence web B e=2")
	pass(time.Second) // seen now: the wait runs from here
	require.Equal(t, 5*time.Second, w.Left(id, 2, now))
	pass(4 * time.Second)
	require.Equal(t, time.Second, w.Left(id, 2, now))
	require.Equal(t, 5*time.Second, w.Left(id, 1, now), "the wait of another epoch does not count")
	pass(time.Second)
	require.Zero(t, w.Left(id, 2, now))
	require.Equal(t, 5*time.Second, NewWaitClock(4*time.Second).Left(id, 2, now), "a new leader waits anew")

	s.apply("begin web h1 a3 takeover")
	pass(time.Hour)
	require.Equal(t, 5*time.Second, w.Left(id, 3, now))
	require.Equal(t, 5*time.Second, w.Left(id, 2, now))
	s.apply("fence web A e=3\nactivate web e=3 waited")
	pass(time.Hour)
	require.Equal(t, 5*time.Second, w.Left(id, 3, now), "it is active: nothing is measured")
	require.Equal(t, TRead+TRead/4, NewWaitClock(0).Left(id, 1, now))
}

// An engine keeps to the T_read that it began with, also when the coordinators have a shorter one by now.
func TestWaitClock_asLongAsTheHostBeforeMayRead(t *testing.T) {
	s, now := newScript(t), at()
	s.apply(`init_cluster demo
		raise_version 2
		register n1 storage stores=s1
		register n2 storage stores=s2
		register h1 host
		register h2 host
		create web A@n1/s1 B@n2/s2 layout:mirror:2
		provisioned web A
		provisioned web B`)
	id := s.vol("web")
	begin := func(line string, tRead time.Duration) {
		c := s.parse(line)
		c.BeginAttach.TRead = tRead
		require.Nil(t, s.state.Apply(c).Err)
	}
	left := func(e volume.Epoch) time.Duration {
		w := NewWaitClock(2 * time.Second)
		w.Observe(s.state, now)
		return w.Left(id, e, now)
	}
	begin("begin web h1 a1", 8*time.Second)
	s.apply("fence web A e=1\nfence web B e=1\nactivate web e=1")
	begin("begin web h2 a2 takeover", 2*time.Second)
	s.apply("fence web A e=2")
	require.Equal(t, 10*time.Second, left(2), "the host of epoch 1 may read for so long")
	begin("begin web h2 a3 takeover", 2*time.Second)
	s.apply("fence web A e=3")
	require.Equal(t, 10*time.Second, left(3), "an epoch that was burnt changes nothing")
	s.apply("activate web e=3 waited")
	begin("begin web h1 a4 takeover", 4*time.Second)
	s.apply("fence web A e=4")
	require.Equal(t, 5*time.Second, left(4), "that host has stopped")
	s.apply("detach web e=4")
	begin("begin web h1 a5", 2*time.Second)
	s.apply("fence web A e=5")
	require.Equal(t, 5*time.Second, left(5), "nor does a detach")
}

// A leg that is found while an epoch waits may be the only one that an older host needs: its fence counts, not those
// of before.
func TestWaitClock_aLegIsFound(t *testing.T) {
	s, now := newScript(t), at()
	s.apply(`init_cluster demo
		register n1 storage stores=s1
		register n2 storage stores=s2
		register n3 storage stores=s3
		register h1 host
		create web A@n1/s1 B@n2/s2 layout:mirror:2
		provisioned web A
		provisioned web B`)
	var err error
	s.state, err = Restored(s.state, Restoration{Incarnation: volume.ClusterID{UUID: s.uuid("new")}, Generation: 1,
		At: at(), From: "a backup"})
	require.NoError(t, err)
	w := NewWaitClock(4 * time.Second)
	pass := func(d time.Duration) { now = now.Add(d); w.Observe(s.state, now) }
	left := func() time.Duration { return w.Left(s.vol("web"), 0x100000001, now) }
	s.apply(`begin web h1 a1
		fence web A e=0x100000001
		fence web B e=0x100000001`)
	pass(time.Second)
	pass(4 * time.Second)
	require.Equal(t, time.Second, left())
	s.apply("adopt web C@n3/s3 slot=1 epoch=9 cfgver=9 list=C inc=inc")
	pass(time.Second)
	require.Equal(t, 5*time.Second, left(), "C is not fenced")
	s.apply("fence web C e=0x100000001 cfgver=9 list=C inc=inc")
	pass(time.Second)
	require.Equal(t, 5*time.Second, left())
	pass(5 * time.Second)
	require.Zero(t, left())
	s.apply("adopt web D@n2/s2 slot=0 epoch=9 cfgver=9 list=D inc=inc")
	s.apply("fence web D e=0x100000001 cfgver=9 list=D inc=inc")
	pass(time.Second)
	require.Equal(t, 5*time.Second, left(), "D was found and fenced before this leader looked again")
}

func TestLiveness_aNodeThatJoinsIsExpectedFirst(t *testing.T) {
	p := newPulses(t, LivenessOptions{}, "h1")
	p.run(10*time.Second, "h1")
	for _, h := range []string{"h2", "h3"} {
		p.hosts = append(p.hosts, p.node(h))
		p.Expect(p.node(h), p.now)
	}
	require.Equal(t, NodeUnknown, p.is("h2"))
	p.run(time.Second, "h1")
	require.Empty(t, p.died)
	require.Empty(t, p.last.Braked, "two that join at once have not vanished")
	p.run(time.Second, "h1", "h2")
	require.Equal(t, map[string]time.Duration{"h3": 2 * time.Second}, p.died)
	p.Expect(p.node("h3"), p.now)
	require.Equal(t, NodeDead, p.is("h3"), "it is known already")
}
