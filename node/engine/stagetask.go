package engine

import (
	"fmt"
	"sync"

	"github.com/holdfast-storage/holdfast/block"
	"github.com/holdfast-storage/holdfast/initiator"
	"github.com/holdfast-storage/holdfast/mirror"
	"github.com/holdfast-storage/holdfast/scsi"
	"github.com/holdfast-storage/holdfast/volume"
	"github.com/holdfast-storage/holdfast/volume/inband"
)

// stageTasks sends records as initiator.RequestQueue sends writes: no goroutine and, in steady state, no allocation for
// a record. The zero value is ready.
type stageTasks struct{ pool sync.Pool }

// stageTask carries one record. Its buffer holds the parameter list and, behind it, the payload.
type stageTask struct {
	task    initiator.Task
	from    *stageTasks
	session *initiator.Session
	request *mirror.StageRequest
	buffer  []byte
}

// submit sends a record on a session. It does not block.
func (q *stageTasks) submit(s *initiator.Session, r *mirror.StageRequest) {
	t, _ := q.pool.Get().(*stageTask)
	if t == nil {
		t = &stageTask{from: q}
		t.task.Done = t.step
	}
	t.session, t.request = s, r
	list, err := inband.AppendStage(t.buffer[:0], r.Record)
	if err == nil && int64(len(r.Data)) != r.Record.Blocks*volume.BlockBytes {
		err = fmt.Errorf("%d blocks with %d bytes of data: %w", r.Record.Blocks, len(r.Data), block.ErrUnsupported)
	}
	if err != nil {
		t.complete(err)
		return
	}
	t.buffer = append(list, r.Data...)
	t.task.CDB = scsi.CDB(inband.Stage{ParamBytes: uint32(len(list)), Blocks: uint32(r.Record.Blocks)}.CDB())
	t.task.DataOut = t.buffer
	s.Submit(&t.task)
}

// step takes the leg's answer.
func (t *stageTask) step(task *initiator.Task) {
	if t.session.Resubmit(task) {
		return
	}
	err := task.Result()
	if err == nil && task.Residual != 0 {
		err = fmt.Errorf("the leg left a residual of %d bytes: %w", task.Residual, block.ErrFailed)
	}
	t.complete(err)
}

func (t *stageTask) complete(err error) {
	r := t.request
	if err != nil {
		err = fmt.Errorf("stage %s: %w", r.Record.Transaction, err)
	}
	t.request, t.session, t.task.DataOut = nil, nil, nil
	t.from.pool.Put(t)
	r.Complete(r, err)
}
