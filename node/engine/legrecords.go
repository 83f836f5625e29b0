package engine

import (
	"context"
	"fmt"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/volume"
)

// What is said of records is not spoken by storage nodes yet; no volume has the layout parity before it is.

// Stage implements mirror.Leg.
func (l *leg) Stage(r *mirror.StageRequest) { r.Complete(r, l.noRecords()) }

// Commit implements mirror.Leg.
func (l *leg) Commit(context.Context, volume.Transaction) error { return l.noRecords() }

// Free implements mirror.Leg.
func (l *leg) Free(context.Context, volume.Transaction) error { return l.noRecords() }

// Records implements mirror.Leg.
func (l *leg) Records(context.Context) (volume.Records, error) {
	return volume.Records{}, l.noRecords()
}

// Rollback implements mirror.Leg.
func (l *leg) Rollback(context.Context, []volume.Transaction) error { return l.noRecords() }

// Drop implements mirror.Leg.
func (l *leg) Drop(context.Context, volume.Transaction) error { return l.noRecords() }

func (l *leg) noRecords() error {
	return fmt.Errorf("leg %s on %s keeps no records: %w", l.spec.ID.Short(), l.spec.Node, block.ErrUnsupported)
}
