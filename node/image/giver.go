package image

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// How much a node has to give that is not to be left for another one.
const (
	slowRate   = 128 << 10 // bytes a second
	slowWindow = 30 * time.Second
	// poorFirst is how long a node that gave too little, or nothing, is no reason to leave another one; twice as long
	// each time, so that what is slow everywhere comes from one of them in the end.
	poorFirst = 2 * time.Minute
	poorMax   = 24 * time.Hour
)

var (
	// errSlow means that a node gave too little, and that another one has it, too.
	errSlow = fmt.Errorf("less than %s/s came for %s, and another node has it", volume.SizeText(slowRate), slowWindow)
	// errOwnDisk means that this node could not write what came.
	errOwnDisk = errors.New("this node cannot write it")
)

// giving measures what a node gives, window by window.
type giving struct {
	waited time.Duration // for it, in this window: how long this node took to write does not count
	bytes  int64         // that came in this window
}

// slow takes in that so many bytes were waited for so long. It reports whether a window ended in which too little came.
func (g *giving) slow(bytes int, waited time.Duration) bool {
	g.bytes += int64(bytes)
	g.waited += waited
	if g.waited < slowWindow {
		return false
	}
	slow := float64(g.bytes) < slowRate*g.waited.Seconds()
	*g = giving{}
	return slow
}

// poor is a mark on a node that gave too little, or nothing.
type poor struct {
	until time.Time
	times int
}

// strike marks a node that gave too little of a blob, or failed to give. What happens while it is marked adds nothing.
func (k *Keeper) strike(d volume.Digest, from peer.Peer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, now := k.about[d], time.Now()
	if a == nil || now.Before(a.poor[from.ID].until) {
		return
	}
	if a.poor == nil {
		a.poor = make(map[volume.NodeID]poor)
	}
	times := a.poor[from.ID].times
	a.poor[from.ID] = poor{until: now.Add(min(poorMax, poorFirst<<min(times, 10))), times: times + 1}
}

// another reports whether a node besides this one has a blob and may well give it faster.
func (k *Keeper) another(d volume.Digest, besides peer.Peer) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, now := k.about[d], time.Now()
	i := slices.IndexFunc(k.orders, func(o peer.ImageOrder) bool { return o.Digest == d })
	return a != nil && i >= 0 && slices.ContainsFunc(k.orders[i].From, func(p peer.Peer) bool {
		return p.ID != besides.ID && !now.Before(a.avoid[p.ID]) && !now.Before(a.poor[p.ID].until)
	})
}
