package host

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain"
	defined "github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// What a driver is told of a guest is all that its definition says, and the bound name of each disk: by the plain one a
// guest that connects again would go on with a disk that changed behind its back.
func TestCore_anOrderSaysAllThatTheDefinitionDoes(t *testing.T) {
	c := newCore("/run", nil)
	ticket := peer.Ticket{Volume: volume.NewID(), Name: "root", AttachID: volume.NewAttachID(), Epoch: 1}
	spec := raft.DomainSpec{Name: "web1", Driver: domain.DriverQEMU, Settings: json.RawMessage(`{"cpu":"max"}`),
		Volumes: []raft.DomainVolume{{Name: "root", Device: "vda"}}, Machine: defined.Machine{VCPUs: 3},
		Policy: defined.Policy{StopSeconds: 70}}
	c.assign(peer.Assignment{Revision: 1, Registered: true, Attach: []peer.Ticket{ticket},
		Domains: []peer.DomainOrder{{Name: "web1", Run: 1, Spec: spec, Volumes: []volume.ID{ticket.Volume},
			Epochs: []volume.Epoch{1}, Salt: "a cluster"}}})
	c.step(0)
	c.engineSeen("root", peer.EngineStatus{Volume: ticket.Volume, AttachID: ticket.AttachID, Epoch: 1,
		State: peer.EngineServing, Exports: []volume.Offer{{Type: "nbd", URL: "nbd:root", BoundURL: "nbd:root@1"}}}, 0)
	c.volumeDone(ticket.Volume, 0, nil)
	actions, _ := c.step(0)
	require.Len(t, actions, 1)
	order := *actions[0].order
	require.Equal(t, domain.Order{Name: "web1", Driver: domain.DriverQEMU, Run: 1, Dir: DomainDir("/run", "web1"),
		Grace: 70 * time.Second, Machine: spec.Machine, Settings: spec.Settings, Salt: "a cluster",
		Volumes: []domain.Volume{{ID: ticket.Volume, Name: "root", Device: "vda", URL: "nbd:root",
			BoundURL: "nbd:root@1", Epoch: 1, AttachID: ticket.AttachID}}}, order)

	// Its time to end is its own, too.
	c.guestSeen(guest{order: order, pid: 10, state: domain.State{Phase: domain.PhaseRunning}})
	c.domainDone("web1", 0, nil)
	c.assign(peer.Assignment{Revision: 2, Registered: true, Attach: []peer.Ticket{ticket}})
	actions, _ = c.step(0)
	require.Len(t, actions, 1)
	require.Equal(t, endGuest, actions[0].job)
	require.Equal(t, 70*time.Second, actions[0].grace)
}

// Raft does not depend on the drivers, and has the word of the one whose guests can move for itself.
func TestDriverQEMU_isOneWordForRaftAndDrivers(t *testing.T) {
	require.Equal(t, domain.DriverQEMU, raft.DriverQEMU)
}
