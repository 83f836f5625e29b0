package host

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain"
	defined "github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// someImages are the blobs of a host: what each waits for, nothing if it is here.
type someImages map[volume.Digest]string

func (s someImages) Blob(d volume.Digest) (path, waits string) {
	if waits, known := s[d]; !known || waits != "" {
		return "", waits
	}
	return "/images/" + string(d), ""
}

func (s someImages) Sound(volume.Digest) error { return nil }

// A guest starts only once everything is here that it boots from, from files of this host in place of images.
func TestCore_aGuestWaitsForItsImages(t *testing.T) {
	c := newCore("/run", nil)
	images := someImages{"d1": "it is copied here: 40 %", "d2": ""}
	c.images = images
	ticket := peer.Ticket{Volume: volume.NewID(), Name: "root", AttachID: volume.NewAttachID(), Epoch: 1}
	spec := raft.DomainSpec{Name: "web1", Driver: domain.DriverQEMU, Volumes: []raft.DomainVolume{{Name: "root"}},
		Machine: defined.Machine{Boot: &defined.Boot{Kernel: "image:linux@2", Initrd: "/i",
			RootImage: "image:debian@3"}}}
	order := peer.DomainOrder{Name: "web1", Run: 1, Spec: spec, Volumes: []volume.ID{ticket.Volume},
		Epochs: []volume.Epoch{1}, Images: []peer.ImageFile{{Image: "debian@3", Digest: "d1"},
			{Image: "linux@2", Digest: "d2"}}}
	assign := func(revision uint64) {
		c.assign(peer.Assignment{Revision: revision, Registered: true, Attach: []peer.Ticket{ticket},
			Domains: []peer.DomainOrder{order}})
	}
	assign(1)
	c.step(0)
	c.engineSeen("root", peer.EngineStatus{Volume: ticket.Volume, AttachID: ticket.AttachID, Epoch: 1,
		State: peer.EngineServing, Exports: []volume.Offer{{Type: "nbd", URL: "nbd:root"}}}, 0)
	c.volumeDone(ticket.Volume, 0, nil)

	actions, _ := c.step(0)
	require.Empty(t, actions)
	_, domains := c.report()
	require.Equal(t, "starting", domains[0].State)
	require.Equal(t, "waits for image debian@3: it is copied here: 40 %", domains[0].Error)

	order.Images = order.Images[:1] // the state of the coordinators is torn, which cannot be
	images["d1"] = ""
	assign(2)
	actions, _ = c.step(0)
	require.Empty(t, actions)
	_, domains = c.report()
	require.Equal(t, "waits for image linux@2: the coordinators know of none", domains[0].Error)

	order.Images = append(order.Images, peer.ImageFile{Image: "linux@2", Digest: "d2"})
	assign(3)
	actions, _ = c.step(0)
	require.Len(t, actions, 1)
	require.Equal(t, startGuest, actions[0].job)
	require.Equal(t, &defined.Boot{Kernel: "/images/d2", Initrd: "/i", RootImage: "/images/d1"},
		actions[0].order.Machine.Boot)
	require.Equal(t, []volume.Digest{"d2", "d1"}, actions[0].blobs)
	require.Equal(t, "image:debian@3", spec.Machine.Boot.RootImage, "the definition stays as it is")
}

// A guest that is to be taken in while it runs needs the same files, and is not begun before they are here.
func TestCore_aGuestThatComesWaitsForItsImages(t *testing.T) {
	c := newCore("/run", nil)
	images := someImages{"d1": "its turn has not come yet"}
	c.images = images
	c.assign(peer.Assignment{Revision: 1, Registered: true, Receive: []peer.ReceiveOrder{{Operation: 7, Name: "web1",
		Run: 2, Volumes: []volume.ID{volume.NewID()}, SizeBytes: []int64{1},
		Spec: raft.DomainSpec{Name: "web1", Driver: domain.DriverQEMU, Volumes: []raft.DomainVolume{{Name: "root"}},
			Machine: defined.Machine{Boot: &defined.Boot{RootImage: "image:debian@3"}}},
		Images: []peer.ImageFile{{Image: "debian@3", Digest: "d1"}}}}})
	actions, _ := c.step(0)
	require.Empty(t, actions)
	images["d1"] = ""
	actions, _ = c.step(0)
	require.Len(t, actions, 1)
	require.Equal(t, receiveGuest, actions[0].job)
	require.Equal(t, "/images/d1", actions[0].order.Machine.Boot.RootImage)
	require.Equal(t, []volume.Digest{"d1"}, actions[0].blobs)
}
