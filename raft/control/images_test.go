package control

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// words of a place: which of its fields are set.
func placesOf(t *testing.T, text string) []blobPlace {
	t.Helper()
	var places []blobPlace
	for i, word := range strings.Fields(text) {
		name, flags, _ := strings.Cut(word, ":")
		p := blobPlace{id: volume.NodeID{UUID: volume.UUID{name[0]}}, lives: true, stays: true, rank: uint64(i)}
		for _, f := range strings.Split(flags, ",") {
			switch f {
			case "":
			case "dead":
				p.lives = false
			case "gone":
				p.lives, p.gone = false, true
			case "leaves":
				p.stays = false
			case "fails":
				p.fails = true
			case "wanted":
				p.wanted = true
			case "listed":
				p.listed = true
			case "has":
				p.listed, p.has = true, true
			default:
				require.True(t, strings.HasPrefix(f, "zone"), f)
				p.zone = f
			}
		}
		places = append(places, p)
	}
	return places
}

func letters(ids []volume.NodeID) string {
	text := ""
	for _, id := range ids {
		text += string(id.UUID[0])
	}
	return text
}

func TestChooseHolders(t *testing.T) {
	for _, c := range []struct{ places, add, drop, why string }{
		{"a:has b c d", "bc", "", "three of four, by rank"},
		{"a:has b", "b", "", "all, where there are fewer"},
		{"a:has", "", "", "alone"},
		{"a b c:has d:has e:has", "", "", "who has it keeps it"},
		{"a b:listed c:listed d:has", "", "", "who is about to get it keeps it"},
		{"a:has b d:wanted", "bd", "", "a host that needs it is one of the three"},
		{"a:listed b:has c:has d:has", "", "a", "who has it before who is about to get it"},
		{"a:has b:has c:has d:wanted", "d", "", "and comes on top while it has not got it"},
		{"a:has b:has c:has d:wanted,has", "", "c", "three with it are enough"},
		{"a:has b:wanted,has c:wanted,has d:wanted,has", "", "a", "enough of those that need it have it"},
		{"a:has b:wanted,has c:wanted,has d:wanted,listed", "", "", "not before they have it"},
		{"a:has b:wanted,has c:wanted,has d:wanted,has,dead", "", "", "nor while one of them is silent"},
		{"a:has b:has c:dead,has d", "", "", "one that is silent for a moment counts"},
		{"a:has b:has c:gone,has d", "d", "", "one that is silent for long does not"},
		{"a:has b:has c:gone,has d:has", "", "c", "and is let go once another has it"},
		{"a:has b:has c:leaves,has d", "d", "", "one that leaves is made up for"},
		{"a:has b:has c:leaves,has d:has", "", "c", "before it is let go"},
		{"a:has b:has c:fails,listed d", "d", "", "one that cannot keep it is made up for"},
		{"a:has b:fails c:dead d", "d", "", "nobody is asked who cannot"},
		{"a:gone,has b:gone,has c:gone,has d e", "de", "", "when all are gone, none is let go"},
		{"a:has,zone1 b:zone1 c:zone1 d:zone2 e:zone2", "bd", "", "zones that have none come first"},
		{"a:leaves,has", "", "", "nobody else is there"},
		{"a:dead,wanted b:has c d", "cd", "", "a host that is silent gets it when it lives"},
		{"a:dead,wanted,listed b:has c d", "c", "", "or was to get it when it fell silent"},
	} {
		places := placesOf(t, c.places)
		add, drop := chooseHolders(places, 3)
		require.Equal(t, []string{c.add, c.drop}, []string{letters(add), letters(drop)}, "%s: %s", c.places, c.why)
		for i := range places { // and then it is settled
			p := &places[i]
			p.listed = (p.listed || slices.Contains(add, p.id)) && !slices.Contains(drop, p.id)
			p.has = p.has && p.listed
		}
		add, drop = chooseHolders(places, 3)
		require.Empty(t, letters(add)+letters(drop), "%s: once more", c.places)
	}
}

// Whatever the nodes are, the last that has a blob is never let go, and what is chosen is settled.
func TestChooseHolders_ofAllKindsOfNodes(t *testing.T) {
	kinds := []string{"", "has", "listed", "dead", "dead,has", "gone,has", "leaves,has", "leaves", "fails,listed",
		"wanted", "wanted,has", "wanted,dead,listed"}
	for n := range len(kinds) * len(kinds) * len(kinds) * len(kinds) {
		text := ""
		for i, rest := 0, n; i < 4; i, rest = i+1, rest/len(kinds) {
			text += fmt.Sprintf("%c:%s ", 'a'+i, kinds[rest%len(kinds)])
		}
		places := placesOf(t, text)
		add, drop := chooseHolders(places, 3)
		had, has := 0, 0
		for i := range places {
			p := &places[i]
			if p.has && p.lives {
				had++
			}
			p.listed = (p.listed || slices.Contains(add, p.id)) && !slices.Contains(drop, p.id)
			if p.has = p.has && p.listed; p.has && p.lives {
				has++
			}
		}
		require.GreaterOrEqual(t, has, min(had, 1), text)
		if len(drop) > 0 {
			require.GreaterOrEqual(t, has, 1, text)
		}
		add, drop = chooseHolders(places, 3)
		require.Empty(t, letters(add)+letters(drop), text)
	}
}

func digestOf(word string) volume.Digest { return volume.DigestOf(sha256.Sum256([]byte(word))) }

// imageVerb executes the lines about images.
func (w *world) imageVerb(words []string, arg func(int) string) bool {
	w.t.Helper()
	switch words[0] {
	case "image": // image NAME CONTENT NODE
		w.must(raft.Command{AddImage: &raft.AddImage{Name: arg(1), Digest: digestOf(arg(2)), SizeBytes: 100,
			Holder: w.node(arg(3)).ID}})
	case "pin": // pin DOMAIN IMAGE@VERSION
		image, err := guest.ParseImage(arg(2))
		require.NoError(w.t, err)
		w.must(raft.Command{PinDomain: &raft.PinDomain{Name: arg(1), Image: image.Name, Version: image.Version}})
	case "holds", "rots": // holds CONTENT NODE …: it says so, and must have been told to have it
		for _, n := range words[2:] {
			w.must(raft.Command{BlobHeld: &raft.BlobHeld{Digest: digestOf(arg(1)), Node: w.node(n).ID,
				Has: words[0] == "holds", Reason: "a script"}})
			delete(w.images[n], digestOf(arg(1)))
		}
	case "all-hold": // all-hold CONTENT: every node that lives and is to have it
		for _, h := range w.state.Blobs[digestOf(arg(1))].Holders {
			if n := w.state.NodeName(h.Node); !w.silent[n] {
				w.imageVerb([]string{"holds", arg(1), n}, func(i int) string { return []string{"", arg(1)}[i] })
			}
		}
	case "rots-but": // rots-but NODE CONTENT: on all others that have it
		for _, h := range w.state.Blobs[digestOf(arg(2))].Holders {
			if n := w.state.NodeName(h.Node); h.Has && n != arg(1) {
				w.must(raft.Command{BlobHeld: &raft.BlobHeld{Digest: digestOf(arg(2)), Node: h.Node,
					Reason: "a script"}})
			}
		}
	case "blob": // blob CONTENT NODE STATE DONE [ERROR]
		done, err := strconv.ParseInt(arg(4), 10, 64)
		require.NoError(w.t, err)
		if w.images[arg(2)] == nil {
			w.images[arg(2)] = map[volume.Digest]*ImageFact{}
		}
		w.images[arg(2)][digestOf(arg(1))] = &ImageFact{State: ImageState(arg(3)), DoneBytes: done,
			Error: strings.Join(words[5:], " ")}
	case "waits-for": // waits-for DOMAIN HOST WHAT: what the host says of a guest that has to wait
		d := w.state.Domains[arg(1)]
		if w.domains[arg(2)] == nil {
			w.domains[arg(2)] = map[string]*DomainFact{}
		}
		w.domains[arg(2)][arg(1)] = &DomainFact{Run: d.Run, State: DomainStarting, Error: "waits for " +
			strings.Join(words[3:], " ")}
	default:
		return false
	}
	return true
}

func (w *world) imageFacts(node string) map[volume.Digest]*ImageFact {
	facts := map[volume.Digest]*ImageFact{}
	for digest, f := range w.images[node] {
		c := *f
		facts[digest] = &c
	}
	return facts
}

// showBlobs prints who is to have what, who has it not in brackets.
func (w *world) showBlobs() string {
	var out strings.Builder
	for _, i := range w.state.SortedImages() {
		for _, v := range i.Versions {
			fmt.Fprintf(&out, "%s@%d on", i.Name, v.Number)
			for _, h := range w.state.Blobs[v.Digest].Holders {
				name := w.state.NodeName(h.Node)
				if !h.Has {
					name = "(" + name + ")"
				}
				fmt.Fprintf(&out, " %s", name)
			}
			out.WriteByte('\n')
		}
	}
	return out.String()
}

func (w *world) describePlace(c *raft.PlaceBlob) string {
	text := "blob " + c.Digest.Short()
	for _, i := range w.state.SortedImages() {
		if v := i.WithDigest(c.Digest); v != nil {
			text = fmt.Sprintf("image %s@%d", i.Name, v.Number)
		}
	}
	names := func(what string, ids []volume.NodeID) {
		if len(ids) > 0 {
			text += what
		}
		for _, id := range ids {
			text += " " + w.state.NodeName(id)
		}
	}
	names(" goes to", c.Add)
	names(" leaves", c.Drop)
	return text
}

// A guest would wait for its images on the first of its hosts, so it goes to the one that has them.
func TestChooseHost_oneThatHasTheImages(t *testing.T) {
	w := newWorld(t)
	for _, line := range []string{"node n1 storage", "node n2 storage", "node h1 host", "node h2 host",
		"volume root on=n1,n2", "image debian one n1", "domain web volumes=root hosts=h1,h2 root=debian@1"} {
		w.do(line)
	}
	w.run()
	chosen := func() string { return w.view().ChooseHost(w.state.Domains["web"].Spec, volume.NodeID{}).Name }
	require.Equal(t, "h1", chosen(), "none has them")
	w.do("holds one h2")
	require.Equal(t, "h2", chosen())
	w.do("holds one h1")
	require.Equal(t, "h1", chosen())
}

// A host that cannot get the image comes after all others, whoever is on these; among such hosts all is as ever.
func TestChooseHost_notOneThatCannotGetTheImage(t *testing.T) {
	w := newWorld(t)
	for _, line := range []string{"node n1 storage", "node n2 storage", "node h1 host", "node h2 host",
		"volume root on=n1,n2", "volume other on=n1,n2", "image debian one n1",
		"domain other volumes=other hosts=h2 group=web", "start other h2",
		"domain web volumes=root hosts=h1,h2 group=web root=debian@1"} {
		w.do(line)
	}
	w.run()
	chosen := func() string {
		w.beat()
		return w.view().ChooseHost(w.state.Domains["web"].Spec, volume.NodeID{}).Name
	}
	w.do("holds one h2")
	require.Equal(t, "h1", chosen(), "it has yet to be told")
	for _, state := range []ImageState{ImageWaiting, ImagePulling, ImageVerifying} {
		w.do("blob one h1 " + string(state) + " 0")
		require.Equal(t, "h1", chosen(), state)
	}
	w.do("blob one h1 failed 0 no room")
	require.Equal(t, "h2", chosen(), "it fails")
	w.do("rots one h2")
	w.do("blob one h2 failed 0 no room")
	require.Equal(t, "h1", chosen(), "both fail")
	w.do("blob one h2 waiting 0")
	require.Equal(t, "h2", chosen(), "one may yet get it")
	w.do("silent n1")
	require.Equal(t, "h1", chosen(), "nobody is there to get it from")
	w.do("holds one h2")
	require.Equal(t, "h2", chosen(), "nobody else has it")
}
