package host

import (
	"time"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// action is one thing to do, by the kind of job that it is for its object.
type action struct {
	job    job
	volume volume.ID
	name   string // of the volume or domain

	ticket *peer.Ticket    // startEngine, renewAttach, giveUp
	order  *domain.Order   // startGuest, receiveGuest, plugGuest
	blobs  []volume.Digest // startGuest, receiveGuest: that it boots from
	grace  time.Duration   // endGuest: ask first, and wait for so long
	run    uint64          // endGuest, settleGuest, resumeGuest, pauseGuest, unpauseGuest: of which run
	attach volume.AttachID // stopEngine, guardGuest: of which engine

	// operation is that by which the guest was sent: resumeGuest; endGuest, of one that has first to run on, as it may
	// be halted and could not notice that it is asked to end.
	operation uint64
}

// The jobs.
const (
	startEngine job = "start engine"
	stopEngine  job = "stop engine"
	renewAttach job = "take a new epoch" // its engine died
	giveUp      job = "detach"           // its engine died while it was to detach, or maintained
	startGuest  job = "start guest"
	endGuest    job = "end guest"
	guardGuest  job = "guard guest"          // tell an engine to kill it when the grant is lost
	settleGuest job = "settle a guest's end" // ask its engines, then say whether the end was its own
	forgetGuest job = "forget guest"
	// These are about guests that move while they run.
	receiveGuest job = "receive guest"
	plugGuest    job = "plug guest in"
	resumeGuest  job = "resume guest" // whose sending is over without its having moved
	// These are about guests that are to stand still.
	pauseGuest   job = "pause guest"
	unpauseGuest job = "unpause guest"
)

// ofDomain reports whether the action is a domain's; else it is a volume's.
func (a action) ofDomain() bool {
	switch a.job {
	case startGuest, endGuest, guardGuest, settleGuest, forgetGuest, receiveGuest, plugGuest, resumeGuest,
		pauseGuest, unpauseGuest:
		return true
	}
	return false
}

func (c *core) start(v *volumeView, a action) {
	a.volume, a.name = v.id, v.name
	v.job = a.job
	c.due = append(c.due, a)
}

func (c *core) startFor(d *domainView, a action) {
	a.name = d.name
	d.job = a.job
	c.due = append(c.due, a)
}
