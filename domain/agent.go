package domain

import (
	"context"
	"path/filepath"
	"time"

	"github.com/holdfast-storage/holdfast/domain/qga"
)

// An Agented is a guest that may have an agent: a program in it that the host can talk to.
type Agented interface {
	// HasAgent reports whether the guest was defined with one.
	HasAgent() bool
	// AskAgent returns nil if the agent answers. It blocks for a few seconds at most.
	AskAgent(ctx context.Context) error
}

// AgentSocket returns the path of the socket at which a guest's agent is, for one at a time.
func AgentSocket(dir string) string { return filepath.Join(dir, "agent.sock") }

// agentAnswer is how long an agent may take to answer that it is there.
const agentAnswer = 2 * time.Second

// agentChannel returns what gives a guest the channel of QEMU's guest agent. It stands behind all other devices, so
// that none of those sits elsewhere because of it.
func agentChannel(dir string) []string {
	return []string{"-chardev", "socket,id=agent,server=on,wait=off,path=" + comma(AgentSocket(dir)),
		"-device", "virtio-serial-pci,id=channels",
		"-device", "virtserialport,bus=channels.0,chardev=agent,name=org.qemu.guest_agent.0"}
}

// HasAgent is that of Agented.
func (p *qemuProcess) HasAgent() bool {
	s, err := qemuSettingsOf(p.Order().definition())
	return err == nil && s.Agent
}

// AskAgent is that of Agented.
func (p *qemuProcess) AskAgent(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, agentAnswer)
	defer cancel()
	return qga.Call(ctx, AgentSocket(p.Order().Dir), "guest-ping", nil, nil)
}
