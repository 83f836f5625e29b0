package coordinator

import (
	"context"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft/control"
)

// progressEvery is how often the progress of long work is reported.
const progressEvery = 500 * time.Millisecond

// watch reports long work until it is done, now and then and whenever something new was heard; only once with
// NoWait. The work goes on when whoever watches is gone.
func (s service) watch(ctx context.Context, w api.Wait, emit func(api.Operation) error,
	look func(*control.View) (api.Operation, error)) error {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		var op api.Operation
		heard, _, _, err := s.try(func(v *control.View) (done bool, err error) {
			op, err = look(v)
			return true, err
		})
		if err != nil {
			return err
		}
		if err := emit(op); err != nil {
			return err
		}
		if w.NoWait || op.State == api.OperationDone {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-heard:
		}
	}
}
