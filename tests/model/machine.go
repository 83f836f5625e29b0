package model

import "fmt"

// machine is what does not change during a search: the bounds, the broken rules and the contract.
type machine struct {
	Bounds
	broken   Rules
	contract *contract
}

func newMachine(b Bounds, broken Rules) *machine {
	return &machine{Bounds: b, broken: broken, contract: newContract()}
}

// breaks reports whether one of the rules is broken on purpose.
func (m *machine) breaks(r Rules) bool { return m.broken&r != 0 }

// allLegs is the set of the legs within the bounds.
func (m *machine) allLegs() legSet { return 1<<m.Legs - 1 }

// initial is the state at the start: the host of epoch 1 serves, and all legs are in sync.
func (m *machine) initial() state {
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
	s.explained = m.contract.start()
	m.normalise(&s)
	return s
}

// steps collects the successors of one state. Names are made only while a trace is printed.
type steps struct {
	named bool
	names []string
	to    []state
}

// add keeps a successor. The arguments are numbers, so that they cost nothing where no name is made.
func (x *steps) add(s *state, format string, args ...int) {
	x.to = append(x.to, *s)
	if x.named {
		values := make([]any, len(args))
		for i, v := range args {
			values[i] = v
		}
		x.names = append(x.names, fmt.Sprintf(format, values...))
	}
}

// count is a yes or no in the name of a step.
func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// next adds every successor of s. What a party may do or not do is a step that may be taken or not.
func (m *machine) next(s *state, x *steps) {
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

// within reports whether a state is inside the bounds.
func (m *machine) within(s *state) bool { return int(s.raft.cfg) <= m.MaxCfg }
