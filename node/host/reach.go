package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/node/peer"
)

// reachPatience is how long a storage node may take to answer a host that looks whether it is there. The guest may be
// halted meanwhile.
const reachPatience = 2 * time.Second

// Reaches returns which of the legs that the guest will need this host does not reach, nil if it reaches all. It
// connects with the storage nodes, and says nothing to them: a login would fence the engines that serve the guest.
func (r *Receiving) Reaches(ctx context.Context) error { return reachLegs(ctx, r.legs) }

// reachLegs connects with the storage nodes of legs, with all of them at once.
func reachLegs(ctx context.Context, legs []peer.ReceiveLeg) error {
	ctx, cancel := context.WithTimeout(ctx, reachPatience)
	defer cancel()
	errs := make([]error, len(legs))
	var all sync.WaitGroup
	for i, l := range legs {
		all.Go(func() {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Portal)
			if err != nil {
				errs[i] = fmt.Errorf("leg %s of volume %s, on node %s, is not reached: %w", l.Leg, l.Volume, l.Node,
					err)
				return
			}
			_ = conn.Close()
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
