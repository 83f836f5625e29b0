package coordinator

import (
	"fmt"
	"net/http"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// serveGone tells a host which volumes there are no more. A state that lags would lack those that were just made: so it
// is the leader's, once everything that was committed before the question is in it.
func (c *Coordinator) serveGone(w http.ResponseWriter, r *http.Request) {
	var asked peer.Gone
	if _, ok := c.caller(w, r); !ok || !read(w, r, &asked) {
		return
	}
	if len(asked.Volumes) > peer.GoneMax {
		http.Error(w, fmt.Sprintf("%d volumes (at most %d)", len(asked.Volumes), peer.GoneMax), http.StatusBadRequest)
		return
	}
	if !c.raft.Leading() || c.raft.Settle() != nil {
		c.misdirected(w)
		return
	}
	state, _ := c.raft.State()
	write(w, http.StatusOK, peer.Gone{Volumes: gone(state, asked.Volumes)})
}

// gone returns those of the volumes that a state does not have. One that was made anew from the legs may still find
// some.
func gone(s *raft.State, volumes []volume.ID) []volume.ID {
	none := []volume.ID{}
	if s.Cluster.FromLegs {
		return none
	}
	for _, id := range volumes {
		if s.Volumes[id] == nil {
			none = append(none, id)
		}
	}
	return none
}
