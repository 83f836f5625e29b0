package sim

import (
	"time"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/leg"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
)

// durableLeg is the metadata of a leg on its medium, and what is on its way there.
type durableLeg struct {
	label   volume.Label
	regions *leg.Regions
	sectors []leg.RegionSector // being written; each is there or not after a power cut
	next    *volume.Label      // being written, after the sectors

	older      volume.Label    // in the slot that does not count
	torn       bool            // that slot is damaged
	slotRotten bool            // the slot that counts is damaged
	rotten     map[uint32]bool // sectors of the region file that are damaged
}

// interrupted leaves what a write of metadata that did not end may leave.
func (d *durableLeg) interrupted(w *world, power bool) {
	for i := range d.sectors {
		if w.chance(2) {
			d.write(d.sectors[i : i+1])
		}
	}
	if d.next != nil && len(d.sectors) == 0 {
		switch {
		case w.chance(2):
			d.writeLabel(*d.next)
		case power && !d.slotRotten && w.chance(2):
			d.torn = true // the slot was being written
		}
	}
	d.sectors, d.next = nil, nil
}

// provision makes a blank leg.
func (n *node) provision(label volume.Label) {
	label.SlotSeq = 1
	n.leg = &storedLeg{n: n, id: label.LegID, disk: newDisk(label.LegBytes() / blockBytes),
		told: map[int64]content{}, silent: map[int64]bool{},
		unread: map[int64]volume.Epoch{},
		durable: durableLeg{label: label, older: label, rotten: map[uint32]bool{},
			regions: leg.NewRegions(label.LegID, label.LegBytes())}}
	n.leg.disk.announces = label.LegID.UUID[0]%4 == 0 // one of four nodes has no memory for a witness
	if label.Layout.Kind == volume.KindParity {
		n.leg.journal = &legJournal{l: n.leg, file: newJournalFile(label.Layout, label.SizeBytes)}
	}
	if n.on {
		n.leg.open()
	}
}

// open is what a node does with a leg when its process starts.
func (l *storedLeg) open() {
	n, d := l.n, &l.durable
	l.sessions, l.waiters = map[leg.SessionID]*session{}, map[leg.OpID]func(leg.Effect){}
	d.interrupted(n.w, false)
	label, regions := l.judge()
	for n.w.chance(12) { // it dies before the regions are written, and starts again
		label, regions = l.judge()
	}
	d.regions = regions.Clone()
	clear(d.rotten)
	clear(l.disk.underWay)
	l.core = leg.NewCore(leg.CoreOptions{Label: label, Regions: regions, Boot: n.boot,
		Instance: n.w.rng.Uint64(), Broken: n.w.opts.Broken.Leg})
	if l.failed {
		l.core.Fail(block.ErrFailed)
		l.core.Effects()
	} else if l.journal != nil {
		if !l.lossy() && n.w.raft.inSync(l.id) {
			l.trusted() // no mark is left that has its rows copied
		}
		l.journal.started()
	}
}

// judge is what a start makes of what it finds: it returns the label, which is durable then, and the regions,
// which are not.
func (l *storedLeg) judge() (volume.Label, *leg.Regions) {
	n, d := l.n, &l.durable
	found := leg.Found{Halved: d.chooseSlot(l), Label: d.label, Regions: d.reread(n.w)}
	found.Label = d.label
	if (found.Label.Marked || found.Halved) && found.Label.OpenBoot == n.boot {
		l.disk.flushed(l.disk.seq) // syncfs
		found.Suspect = found.Settles(n.boot) && !l.settleSums(found.Regions)
	}
	before, damaged := d.label, found.Regions.Damaged()
	label, _ := leg.StartLeg(found, n.boot)
	label.SlotSeq = d.label.SlotSeq + 1
	d.writeLabel(label)
	n.w.logf("%s: leg %s was marked %v, halved %v, suspect %v, %d sectors damaged: marked %v, lossy %v", n.name,
		l.id.Short(), before.Marked, found.Halved, found.Suspect, damaged, label.Marked, l.lossy())
	n.w.watch.labelled(l)
	return label, found.Regions
}

// settleSums computes anew the checksums of writes that a process left unfinished in this boot: nobody
// was answered. It reports whether all other blocks of marked regions are what was written.
func (l *storedLeg) settleSums(regions *leg.Regions) bool {
	well := true
	for b := range l.disk.cells {
		c := &l.disk.cells[b]
		if c.sum == sumBlank && c.data == (content{}) || !regions.Marked(regionOf(int64(b))) {
			continue
		}
		switch {
		case l.disk.unsettled(int64(b)):
			if l.disk.rotten[int64(b)] {
				l.n.w.concealed(int64(b), "leg "+l.id.Short()+" takes it for a write that was under way")
			}
			l.disk.putSum(int64(b), sumOf(int64(b), c.data))
		case l.disk.bad(int64(b)):
			well = false
		}
	}
	return well
}

// concealed notes that nothing tells any more that a block of a leg is not what was written.
func (w *world) concealed(b int64, why string) {
	if w.set != nil {
		w.loseRow(b, why)
		return
	}
	w.rotten[b] = true
}

func regionOf(b int64) uint32 { return uint32(b * blockBytes / volume.RegionBytes) }

// persist makes sectors durable, then the label.
func (l *storedLeg) persist(e leg.Effect) {
	w, d := l.n.w, &l.durable
	d.sectors = e.Sectors
	if e.WriteLabel {
		next := e.Label
		next.SlotSeq = d.label.SlotSeq + 1
		d.next = &next
	}
	took := w.pick(time.Millisecond)
	if w.chance(20) {
		took = w.pick(40 * time.Millisecond)
	}
	l.n.disk(took, func() {
		if l.n.bluntMeta {
			l.n.bluntMeta = false
			d.interrupted(w, true)
			l.core.Persisted(volume.Label{}, block.ErrFailed)
			l.do()
			return
		}
		before := d.regions.Clone()
		d.write(d.sectors)
		d.sectors = nil
		for r := range d.regions.Count() {
			if before.Marked(r) && !d.regions.Marked(r) {
				w.watch.cleared(l, r)
			}
		}
		if d.next == nil {
			l.persisted(volume.Label{})
			return
		}
		l.n.disk(w.pick(time.Millisecond), func() {
			d.writeLabel(*d.next)
			d.next = nil
			w.watch.labelled(l)
			l.persisted(d.label)
		})
	})
}

func (l *storedLeg) persisted(label volume.Label) {
	l.core.Persisted(label, nil)
	l.do()
}

// marked reports whether anything is marked on the leg's medium.
func (l *storedLeg) marked() bool { return l.durable.label.Marked }

// lossy reports whether the leg lost its cache, by what its label says.
func (l *storedLeg) lossy() bool {
	d := &l.durable.label
	return d.Marked && (d.OpenBoot.IsZero() || d.Durability != volume.DurabilitySync && d.OpenBoot != l.n.boot)
}

// extraCommand carries out VERSIONS, STAMP and ADOPT.
func (l *storedLeg) extraCommand(s *session, r *request) {
	c := r.x.Command
	switch c.Kind {
	case mirror.CommandVersions:
		page, err := l.core.Versions(s.id, c.Since, 0)
		l.answerCommand(s, r, mirror.Reply{Versions: page.Runs}, err)
	case mirror.CommandStamp:
		l.wait(func(op leg.OpID) { l.core.Stamp(op, s.id, c.Versions) },
			func(e leg.Effect) { l.answerCommand(s, r, mirror.Reply{}, e.Err) })
	case mirror.CommandAdopt:
		l.newRangeTask(s, r).adopt()
	default:
		l.answerCommand(s, r, mirror.Reply{}, block.ErrUnsupported)
	}
}

// adopt makes what bad blocks of marked regions hold count as what was written.
func (t *task) adopt() {
	rng := t.r.x.Command.Range
	if t.l.journal != nil || !t.l.core.MayBeTorn(rng) {
		t.l.answerCommand(t.s, t.r, mirror.Reply{}, leg.ErrInvalid)
		return
	}
	verdict, err := t.l.enter(t, true, rng)
	switch verdict {
	case leg.NeedMark:
		t.l.wait(func(op leg.OpID) { t.l.mark(op, t.s.id, rng) }, func(e leg.Effect) {
			if e.Err != nil {
				t.l.answerCommand(t.s, t.r, mirror.Reply{}, e.Err)
				return
			}
			t.adopt()
		})
	case leg.Admit:
		t.l.n.disk(t.l.n.w.pick(time.Millisecond), func() {
			d := t.l.disk
			for b := t.first; b < t.first+t.blocks; b++ {
				if d.bad(b) {
					t.l.n.w.watch.adopted(t, b)
					d.putSum(b, sumOf(b, d.cells[b].data))
				}
			}
			t.leave(answer{})
		})
	default:
		t.l.answerCommand(t.s, t.r, mirror.Reply{}, err)
	}
}

func (l *storedLeg) enter(t *task, changes bool, r block.Range) (leg.Verdict, error) {
	ticket, verdict, err := l.core.Enter(t.s.id, changes, r)
	t.ticket = ticket
	return verdict, err
}

func (l *storedLeg) leave(t *task) { l.core.Leave(t.ticket) }

func (l *storedLeg) mark(op leg.OpID, id leg.SessionID, r block.Range) { l.core.Mark(op, id, r) }
