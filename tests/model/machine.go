package model

import (
	"github.com/holdfast-storage/holdfast/tests/model/disk"
	"github.com/holdfast-storage/holdfast/tests/model/search"
)

// machine is what does not change during a search: the bounds, the broken rules and the contract.
type machine struct {
	Bounds
	broken   Rules
	contract *disk.Contract
	perms    []permutation
}

// steps collects the successors of one state.
type steps = search.Steps[state]

func newMachine(b Bounds, broken Rules) *machine {
	return &machine{Bounds: b, broken: broken, contract: disk.New(), perms: permutations(b.Legs)}
}

// breaks reports whether one of the rules is broken on purpose.
func (m *machine) breaks(r Rules) bool { return m.broken&r != 0 }

// allLegs is the set of the legs within the bounds.
func (m *machine) allLegs() legSet { return 1<<m.Legs - 1 }

// First is the state at the start: the host of epoch 1 serves, and all legs are in sync.
func (m *machine) First() state {
	var s state
	all := m.allLegs()
	s.raft = coordinator{epoch: 1, cfg: 1, isr: all, attached: true, granted: all}
	for l := range m.Legs {
		s.legs[l] = leg{fence: 1, cfg: 1, isr: all, disk: just(0)}
	}
	s.hosts[1] = host{
		phase: phaseActive, ack: all, read: all, session: all,
		knownCfg: 1, knownISR: all, confirmed: all, serving: true, fresh: true,
	}
	s.nextWrite = 1
	s.explained = m.contract.Start()
	m.Normalise(&s)
	return s
}

// count is a yes or no in the name of a step.
func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// Next adds every successor of s. What a party may do or not do is a step that may be taken or not.
func (m *machine) Next(s *state, x *steps) {
	for h := 1; h <= m.Epochs; h++ {
		switch s.hosts[h].phase {
		case phaseAttaching:
			m.login(s, h, x)
			m.activate(s, h, x)
		case phaseActive:
			m.guest(s, h, x)
			m.guestFlush(s, h, x)
			m.relogin(s, h, x)
			m.removeLeg(s, h, x)
			m.config(s, h, x)
			m.reconcile(s, h, x)
			m.stable(s, h, x)
			m.join(s, h, x)
			m.outliveLease(s, h, x)
		}
		m.applyAddLeg(s, h, x)
		m.applyDuplicate(s, h, x)
		m.deliver(s, h, x)
	}
	m.beginAttach(s, x)
	m.powerCuts(s, x)
	m.forgetfulRestarts(s, x)
	m.operatorRemoves(s, x)
	m.backupAndRestore(s, x)
}

// Within reports whether a state is inside the bounds.
func (m *machine) Within(s *state) bool { return int(s.raft.cfg) <= m.MaxCfg }
