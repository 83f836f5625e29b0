package domain

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-storage/holdfast/domain/qmp"
)

// ReceiveSocket returns the path of the socket at which a guest that is taken in waits for its state.
func ReceiveSocket(dir string) string { return filepath.Join(dir, "receive.sock") }

// SendSocket returns the path of the socket at which a guest's state is taken from it.
func SendSocket(dir string) string { return filepath.Join(dir, "send.sock") }

// placeholder returns the block node that holds the place of a volume until it is plugged in: as large, and empty. A
// guest that is taken in does not run before, so nobody reads or writes it.
func placeholder(v Volume, place int) (map[string]any, error) {
	if v.SizeBytes <= 0 {
		return nil, fmt.Errorf("volume %s: a guest that is taken in needs to know its size", v.Name)
	}
	return map[string]any{"driver": "null-co", "node-name": placeholderName(place), "size": v.SizeBytes,
		"read-zeroes": true}, nil
}

func placeholderName(place int) string { return fmt.Sprintf("place%d", place) }

// Receive starts a QEMU that waits for a guest's state.
func (d *qemuDriver) Receive(ctx context.Context, o Order) (Process, error) {
	if o.Incoming == 0 {
		return nil, fmt.Errorf("domain %s: its order is not that of a guest that is taken in", o.Name)
	}
	p, err := d.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	q, ok := p.(*qemuProcess)
	if !ok {
		return nil, fmt.Errorf("domain %s: its process is %T", o.Name, p) // Start returns nothing else
	}
	err = q.do(ctx, "migrate-incoming", map[string]any{"uri": "unix:" + ReceiveSocket(o.Dir)}, nil)
	if err != nil {
		err = fmt.Errorf("domain %s: QEMU takes no guest in: %w", o.Name, err)
		if stopped := stopNow(ctx, q.localProcess); stopped != nil {
			return nil, errors.Join(err, stopped)
		}
		return nil, errors.Join(err, d.Forget(o.Dir))
	}
	return q, nil
}

// do has QEMU execute one command.
func (p *qemuProcess) do(ctx context.Context, command string, arguments, result any) error {
	ctx, cancel := context.WithTimeout(ctx, qemuAnswer)
	defer cancel()
	return qmp.Call(ctx, qmpSocket(p.Order().Dir), command, arguments, result)
}

// The words of QEMU for what a machine and a migration do.
const (
	qemuRunning     = "running"
	qemuPostMigrate = "postmigrate" // its state was sent as a whole
	qemuPaused      = "paused"      // also: it was loaded and is not to run by itself
	qemuIOError     = "io-error"    // QEMU halted it, as a disk of it was full
	// qemuFinishMigrate: it is halted, and the rest of its state is sent.
	qemuFinishMigrate = "finish-migrate"
)

// runState returns what the machine does.
func (p *qemuProcess) runState(ctx context.Context) (string, error) {
	var now struct {
		Status string `json:"status"`
	}
	err := p.do(ctx, "query-status", nil, &now)
	return now.Status, err
}

// migration returns what became of the latest migration, in or out, with QEMU's reason if it failed.
func (p *qemuProcess) migration(ctx context.Context) (status, why string, err error) {
	var now struct {
		Status string `json:"status"`
		Error  string `json:"error-desc"`
	}
	err = p.do(ctx, "query-migrate", nil, &now)
	return now.Status, now.Error, err
}

func (p *qemuProcess) Send(ctx context.Context, operation uint64, path string) error {
	o := p.Order()
	state, err := p.runState(ctx)
	if err != nil {
		return fmt.Errorf("domain %s: %w", o.Name, err)
	}
	if state != qemuRunning {
		return fmt.Errorf("domain %s: it does not run: QEMU says that it is %s", o.Name, state)
	}
	if err := p.remember(func(r *record) { r.State.Sending = operation }); err != nil {
		return fmt.Errorf("domain %s: %w", o.Name, err)
	}
	// A guest that writes its memory faster than it can be sent is slowed down, or it would never be over.
	capabilities := map[string]any{"capabilities": []any{map[string]any{"capability": "auto-converge", "state": true}}}
	err = p.do(ctx, "migrate-set-capabilities", capabilities, nil)
	if err == nil {
		err = p.do(ctx, "migrate", map[string]any{"uri": "unix:" + path}, nil)
	}
	if err != nil {
		return fmt.Errorf("domain %s: %w", o.Name, err)
	}
	return nil
}

func (p *qemuProcess) Sending(ctx context.Context) (Sending, error) {
	status, why, err := p.migration(ctx)
	if err != nil {
		return "", fmt.Errorf("domain %s: %w", p.Order().Name, err)
	}
	switch status {
	case "", "none":
		return SendingNone, nil
	case "completed":
		state, err := p.runState(ctx)
		if err != nil {
			return "", fmt.Errorf("domain %s: %w", p.Order().Name, err)
		}
		switch state {
		case qemuPostMigrate:
			return SendingDone, nil
		case qemuFinishMigrate: // it is about to be
			return SendingRuns, nil
		}
		return SendingNone, nil // it was resumed since
	case "failed", "cancelled":
		p.logger.Warn("guest's state was not sent", "domain", p.Order().Name, "status", status, "cause", why)
		return SendingOver, nil
	}
	return SendingRuns, nil
}

// Resume waits until QEMU has ended a sending that goes on: then the guest runs by itself.
func (p *qemuProcess) Resume(ctx context.Context) error {
	name := p.Order().Name
	ctx, cancel := context.WithTimeout(ctx, qemuAnswer)
	defer cancel()
	look := time.NewTicker(qemuLook)
	defer look.Stop()
	for told := false; ; {
		how, err := p.Sending(ctx)
		if err != nil {
			return err
		}
		state, err := p.runState(ctx)
		switch {
		case err != nil:
		case state == qemuPostMigrate:
			err = p.do(ctx, "cont", nil, nil)
		case how != SendingRuns:
			return p.remember(func(r *record) { r.State.Sending = 0 })
		case !told:
			told = true
			err = p.do(ctx, "migrate_cancel", nil, nil)
		}
		if err != nil {
			return fmt.Errorf("domain %s: %w", name, err)
		}
		select {
		case <-look.C:
		case <-p.done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("domain %s: it does not run on: QEMU says that it is %s: %w", name, state, ctx.Err())
		}
	}
}

func (p *qemuProcess) Loaded(ctx context.Context) (bool, error) {
	status, why, err := p.migration(ctx)
	if err == nil && status == "failed" {
		err = fmt.Errorf("QEMU did not take it in: %s", why)
	}
	if err != nil || status != "completed" {
		return false, err
	}
	state, err := p.runState(ctx)
	return err == nil && state == qemuPaused, err
}

func (p *qemuProcess) Plug(ctx context.Context, volumes []Volume) error {
	o := p.Order()
	state, err := p.runState(ctx)
	if err == nil && state == qemuRunning && slices.Equal(o.Volumes, volumes) {
		return nil // whoever had it run did not live to note it
	}
	loaded := false
	if err == nil {
		loaded, err = p.Loaded(ctx)
	}
	if err == nil && !loaded {
		err = errors.New("it is not here as a whole")
	}
	if err != nil {
		return fmt.Errorf("domain %s: plug its disks: %w", o.Name, err)
	}
	o.Volumes = volumes
	if err := p.remember(func(r *record) { r.Order.Volumes = volumes }); err != nil {
		return fmt.Errorf("domain %s: %w", o.Name, err)
	}
	settings, err := qemuSettingsOf(o.definition())
	if err != nil {
		return err
	}
	order, err := diskOrder(o.definition())
	if err != nil {
		return err
	}
	first := 0
	if b := o.Machine.Boot; b != nil && b.RootImage != "" {
		first = 1 // see qemuDisks
	}
	plugged, err := p.nodes(ctx)
	if err != nil {
		return fmt.Errorf("domain %s: %w", o.Name, err)
	}
	for place, i := range order {
		node, err := qemuVolume(volumes[i], place, settings)
		if err == nil && !plugged[volumeName(place)] {
			err = p.do(ctx, "blockdev-add", node, nil)
		}
		if err == nil && plugged[placeholderName(place)] {
			err = p.do(ctx, "qom-set", map[string]any{"path": fmt.Sprintf("/machine/peripheral/disk%d", first+place),
				"property": "drive", "value": volumeName(place)}, nil)
		}
		if err == nil && plugged[placeholderName(place)] {
			err = p.do(ctx, "blockdev-del", map[string]any{"node-name": placeholderName(place)}, nil)
		}
		if err != nil {
			return fmt.Errorf("domain %s: plug volume %s: %w", o.Name, volumes[i].Name, err)
		}
	}
	return nil
}

// nodes returns the names of QEMU's block nodes.
func (p *qemuProcess) nodes(ctx context.Context) (map[string]bool, error) {
	var all []struct {
		Name string `json:"node-name"`
	}
	if err := p.do(ctx, "query-named-block-nodes", map[string]any{"flat": true}, &all); err != nil {
		return nil, err
	}
	names := make(map[string]bool)
	for _, n := range all {
		names[n.Name] = true
	}
	return names, nil
}

func (p *qemuProcess) Run(ctx context.Context) error {
	if err := p.do(ctx, "cont", nil, nil); err != nil {
		return fmt.Errorf("domain %s: %w", p.Order().Name, err)
	}
	err := p.remember(func(r *record) {
		if r.State.Phase == PhaseReceiving {
			r.State.Phase = PhaseRunning
		}
	})
	if err != nil {
		return fmt.Errorf("domain %s: %w", p.Order().Name, err)
	}
	p.logger.Info("guest was taken in and runs", "domain", p.Order().Name, "run", p.Order().Run)
	return nil
}

// remember changes what is remembered of a run, here and on the disk.
func (p *localProcess) remember(change func(*record)) error {
	p.mu.Lock()
	change(&p.record)
	r := p.record
	p.mu.Unlock()
	return r.save()
}
