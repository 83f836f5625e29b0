package control

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// manyImages is a cluster of so many domains, each of which boots from one of the images, and may run on two hosts.
// Every blob is where it is to be.
func manyImages(tb testing.TB, domains, images, hosts int) *View {
	s, facts, now := raft.NewState(), NewFacts(), time.Unix(1_800_000_000, 0)
	var names []string
	for i := range hosts {
		n := &raft.Node{ID: volume.NewNodeID(), Name: fmt.Sprintf("h%02d", i), Roles: []raft.Role{raft.RoleHost}}
		s.Nodes[n.ID], names = n, append(names, n.Name)
		facts.HearNode(now, NodeReport{Node: n.ID, Start: 1, Seq: 1})
	}
	for i := range images {
		name, digest := fmt.Sprintf("image%03d", i), digestOf(fmt.Sprint(i))
		s.Images[name] = &raft.Image{Name: name, Versions: []raft.ImageVersion{{Number: 1, Digest: digest}}}
		s.Blobs[digest] = &raft.Blob{SizeBytes: 1 << 30}
	}
	for i := range domains {
		name := fmt.Sprintf("d%04d", i)
		boot := &guest.Boot{RootImage: fmt.Sprintf("image:image%03d@1", i%images)}
		s.Domains[name] = &raft.Domain{Name: name, Running: true, Run: 1, Host: s.NodeByName(names[i%hosts]).ID,
			Spec: raft.DomainSpec{Name: name, Driver: "qemu", Hosts: []string{names[i%hosts], names[(i+1)%hosts]},
				Machine: guest.Machine{Boot: boot}}}
	}
	v := &View{State: s, Facts: facts, Now: now, Timing: DefaultTiming(),
		Condition: func(volume.NodeID) raft.Condition { return raft.NodeAlive }}
	for _, c := range Images(v) {
		for _, id := range c.PlaceBlob.Add {
			blob := s.Blobs[c.PlaceBlob.Digest]
			blob.Holders = append(blob.Holders, raft.Holder{Node: id, Has: true})
		}
	}
	if left := Images(v); len(left) > 0 {
		tb.Fatalf("%d blobs have yet to be placed", len(left))
	}
	return v
}

// BenchmarkImages says what one pass costs in which there is nothing to do, of 1,000 domains with 100 images on 16
// hosts. A leader makes it four times a second, and nothing else is decided meanwhile.
func BenchmarkImages(b *testing.B) {
	v := manyImages(b, 1000, 100, 16)
	b.ReportAllocs()
	for b.Loop() {
		Images(v)
	}
}
