package node

import (
	"context"

	"github.com/holdfast-storage/holdfast/node/enroll"
)

// forgetAuthority removes the file when the coordinators have the CA: its key is where it has to be, and
// nowhere else.
func (d *Daemon) forgetAuthority(ctx context.Context) error {
	for {
		state, revision := d.raft.State()
		if state.Authority != nil {
			if err := enroll.ForgetAuthority(d.config.DataDir); err != nil {
				d.log.Warn("the cluster CA's key stays in a file that is not needed any more", "error", err)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-d.raft.Changed(revision):
		}
	}
}
