package domain

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-storage/holdfast/domain/qga"
)

// A Freezer is a guest whose file systems its agent can have stand still, with all that was written to them on its
// disks: what is copied of these meanwhile is mounted without a journal to replay. Only HasAgent says whether there is
// such an agent; without it all else is refused. One who freezes has to know that everybody in the guest who writes
// waits, and may wait for ever: nobody but who calls Thaw ends it.
type Freezer interface {
	Agented
	// Freeze has the guest write back and stop its file systems, and returns how many. It blocks for ten seconds at
	// most. A *qga.Error means that the agent refused, and has frozen nothing by this call: it may be frozen already,
	// by somebody else. After any other error the guest may be frozen, or will be once its agent gets that far. So
	// unless it was refused, the caller must call Thaw, with a context that has not ended, until that returns nil or
	// the guest has ended.
	Freeze(ctx context.Context) (fileSystems int, err error)
	// Thaw has all of them go on, whoever froze them. Where nothing is frozen it changes nothing. It blocks for five
	// seconds at most. After an error the guest may be frozen still; what was said is behind whatever an earlier Freeze
	// has said, so that a slow agent comes to it in the end, if the guest took it at all.
	Thaw(ctx context.Context) error
	// Frozen reports whether the agent holds file systems frozen, through this or through anybody else. It blocks for
	// two seconds at most.
	Frozen(ctx context.Context) (bool, error)
}

// How long an agent may take. Before it stops a file system it writes all back that is not on the disk yet.
const (
	freezePatience = 10 * time.Second
	thawPatience   = 5 * time.Second
)

// Freeze is that of Freezer.
func (p *qemuProcess) Freeze(ctx context.Context) (fileSystems int, err error) {
	err = p.toAgent(ctx, freezePatience, qga.Call, "guest-fsfreeze-freeze", &fileSystems)
	return fileSystems, err
}

// Thaw is that of Freezer.
func (p *qemuProcess) Thaw(ctx context.Context) error {
	return p.toAgent(ctx, thawPatience, qga.CallBlind, "guest-fsfreeze-thaw", nil)
}

// Frozen is that of Freezer.
func (p *qemuProcess) Frozen(ctx context.Context) (bool, error) {
	var status string
	if err := p.toAgent(ctx, agentAnswer, qga.Call, "guest-fsfreeze-status", &status); err != nil {
		return false, err
	}
	return p.frozen(status)
}

// frozen reports what a word of the agent means.
func (p *qemuProcess) frozen(status string) (bool, error) {
	switch status {
	case "frozen":
		return true, nil
	case "thawed":
		return false, nil
	}
	return false, fmt.Errorf("domain %s: its agent says that its file systems are %q", p.Order().Name, status)
}

// toAgent has the guest's agent execute a command, by one of the ways to call it.
func (p *qemuProcess) toAgent(ctx context.Context, patience time.Duration, call agentCall, command string,
	result any,
) error {
	o := p.Order()
	if !p.HasAgent() {
		return fmt.Errorf("domain %s: it was defined without an agent (qemu: {agent: true})", o.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := call(ctx, AgentSocket(o.Dir), command, nil, result); err != nil {
		return fmt.Errorf("domain %s: %w", o.Name, err)
	}
	return nil
}

type agentCall func(ctx context.Context, socket, command string, arguments, result any) error
