package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/node/pause"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// The patience of a sending. How long the copy itself takes is bounded by the coordinators.
const (
	receivePatience = 30 * time.Second       // for the other host to be ready to take it in
	acceptPatience  = 5 * time.Second        // for a guest that was told to send its state to begin to
	loadPatience    = 10 * time.Second       // for it to have what was sent
	sendingLook     = 20 * time.Millisecond  // between two looks at a sending: the guest may be halted
	sendingPause    = 200 * time.Millisecond // between two attempts to reach somebody
)

// sending is one guest that is sent. The loop alone uses it.
type sending struct {
	operation uint64
	stop      context.CancelFunc
	over      chan struct{} // closed when nothing of it goes on
}

// send has the sendings under way be those that are wanted. What is sent no more is ended, and waited for before
// another one of the same guest begins. One that failed is not tried again: it has had the migration given up, or
// begins anew with the next daemon. The loop calls it.
func (h *Host) send(wanted []sendOrder) {
	orders := make(map[string]sendOrder, len(wanted))
	for _, o := range wanted {
		orders[o.name] = o
	}
	for name, s := range h.sendings {
		o, stays := orders[name]
		if stays && o.Operation == s.operation {
			continue
		}
		s.stop()
		select {
		case <-s.over:
			delete(h.sendings, name)
		default:
		}
	}
	for name, o := range orders {
		process := h.guests[name].process
		if h.sendings[name] != nil || process == nil || process.Order().Run != o.run || marked(process.Order()) {
			continue // one that is frozen would arrive so, and nobody there would know
		}
		ctx, stop := context.WithCancel(h.life)
		s := &sending{operation: o.Operation, stop: stop, over: make(chan struct{})}
		h.sendings[name] = s
		h.jobs.Go(func() {
			defer stop()
			h.sendGuest(ctx, o, process)
			close(s.over)
			h.post(func() {}) // for the loop to look again
		})
	}
}

// sendGuest sends one guest and has it switch, or the migration given up.
func (h *Host) sendGuest(ctx context.Context, o sendOrder, process domain.Process) {
	h.options.Logger.Info("guest is sent", "domain", o.name, "operation", o.Operation, "to", o.To.API)
	err := h.sendAndSwitch(ctx, o, process)
	h.post(func() { h.core.guestSeen(seenGuest(process)) })
	if err == nil {
		h.options.Logger.Info("guest has moved", "domain", o.name, "operation", o.Operation)
		return
	}
	h.options.Logger.Warn("guest is not sent", "domain", o.name, "operation", o.Operation, "error", err)
	for ctx.Err() == nil { // else the migration is over, or the next daemon begins anew
		result, failed := h.options.Coordinators.Command(ctx, abortion(o.name, o.run, o.Operation, err.Error()))
		if failed == nil && (result.Err == nil || result.Err.Code != raft.CodeWait) {
			return
		}
		pause.For(ctx, sendingPause)
	}
}

func abortion(name string, run, operation uint64, why string) raft.Command {
	return raft.Command{AbortMigration: &raft.AbortMigration{ID: operation, Name: name, Run: run, Reason: why}}
}

// sendAndSwitch returns nil once the guest has switched.
func (h *Host) sendAndSwitch(ctx context.Context, o sendOrder, process domain.Process) error {
	guest, ok := process.(domain.Migrant)
	if !ok {
		return fmt.Errorf("domain %s: a guest of the driver %s cannot move while it runs", o.name,
			process.Order().Driver)
	}
	how, err := guest.Sending(ctx)
	if err != nil {
		return err
	}
	if how != domain.SendingDone || process.State().Sending != o.Operation {
		if err := h.sendState(ctx, o, process, guest); err != nil {
			return err
		}
	}
	// The guest is halted from here on, and nothing but resumeGuest has it run again.
	if err := h.awaitLoaded(ctx, o); err != nil {
		return err
	}
	for {
		result, err := h.options.Coordinators.Command(ctx, raft.Command{SwitchMigration: &raft.SwitchMigration{
			ID: o.Operation, Name: o.name, Run: o.run, Epochs: o.epochs}})
		switch {
		case err == nil && result.Err == nil:
			return nil
		case err == nil:
			return result.Err
		case !pause.For(ctx, sendingPause):
			return err
		}
	}
}

// sendState sends the guest's state over a connection between the two daemons, which know each other by their
// certificates, and returns when all of it was sent.
func (h *Host) sendState(ctx context.Context, o sendOrder, process domain.Process, guest domain.Migrant) error {
	far, err := h.reachReceiver(ctx, o)
	if err != nil {
		return err
	}
	defer far.Close()
	path := domain.SendSocket(process.Order().Dir)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("domain %s: %w", o.name, err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("domain %s: %w", o.name, err)
	}
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	if err := os.Chmod(path, 0o600); err != nil { // it is in a directory of this user's
		return fmt.Errorf("domain %s: %w", o.name, err)
	}
	err = guest.Send(ctx, o.Operation, path)
	h.post(func() { h.core.guestSeen(seenGuest(process)) })
	if err != nil {
		return err
	}
	near, err := acceptState(listener, acceptPatience)
	if err != nil {
		return fmt.Errorf("domain %s: its QEMU was told to send its state, and does not: %w", o.name, err)
	}
	defer near.Close()
	carried := make(chan error, 1)
	carry, cancel := context.WithCancel(ctx)
	defer cancel()
	h.jobs.Go(func() { carried <- splice(carry, near, far) })
	if err := awaitSent(ctx, o.name, guest); err != nil {
		return err
	}
	select {
	case err = <-carried: // QEMU has closed its end: all of it is on its way
	case <-time.After(loadPatience):
		err = errors.New("its last bytes were not taken")
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("domain %s: %w", o.name, err)
	}
	return nil
}

// acceptState returns the connection by which a guest's state comes. Who was told to send it connects at once.
func acceptState(listener net.Listener, patience time.Duration) (net.Conn, error) {
	if l, ok := listener.(*net.UnixListener); ok {
		if err := l.SetDeadline(time.Now().Add(patience)); err != nil {
			return nil, err
		}
	}
	return listener.Accept()
}

// awaitSent waits until all of the guest's state was sent.
func awaitSent(ctx context.Context, name string, guest domain.Migrant) error {
	for {
		how, err := guest.Sending(ctx)
		switch {
		case err != nil:
			return err
		case how == domain.SendingDone:
			return nil
		case how == domain.SendingOver || how == domain.SendingNone:
			return fmt.Errorf("domain %s: its state was not taken by the other host as a whole", name)
		case !pause.For(ctx, sendingLook):
			return ctx.Err()
		}
	}
}

// splice carries what is read at one end to the other until the near one has said all, or either fails.
func splice(ctx context.Context, near net.Conn, far io.ReadWriteCloser) error {
	defer context.AfterFunc(ctx, func() {
		_ = near.Close()
		_ = far.Close()
	})()
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(near, far) // a stream of this kind says nothing back
	}()
	_, err := io.Copy(far, near)
	err = errors.Join(err, far.Close())
	_ = near.Close()
	<-back
	return err
}

func receiverQuery(o sendOrder) url.Values {
	return url.Values{"domain": {o.name}, "operation": {strconv.FormatUint(o.Operation, 10)}}
}

// reachReceiver opens the stream to the host that takes the guest in, once that is ready.
func (h *Host) reachReceiver(ctx context.Context, o sendOrder) (io.ReadWriteCloser, error) {
	until := time.Now().Add(receivePatience)
	for {
		stream, err := h.openStream(ctx, o)
		if err == nil {
			return stream, nil
		}
		if !time.Now().Before(until) || !pause.For(ctx, sendingPause) {
			return nil, err
		}
	}
}

func (h *Host) openStream(ctx context.Context, o sendOrder) (io.ReadWriteCloser, error) {
	address := "https://" + o.To.API + peer.PathMigrate + "?" + receiverQuery(o).Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", peer.UpgradeMigrate)
	res, err := h.options.Reach(o.To.ID).RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("domain %s: the other host: %w", o.name, err)
	}
	if stream, ok := res.Body.(io.ReadWriteCloser); ok && res.StatusCode == http.StatusSwitchingProtocols {
		return stream, nil
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4096)) // what there is of it serves the message
	return nil, fmt.Errorf("domain %s: the other host answers %s: %s", o.name, res.Status, text)
}

// awaitLoaded waits until the other host has the guest as a whole.
func (h *Host) awaitLoaded(ctx context.Context, o sendOrder) error {
	ctx, cancel := context.WithTimeout(ctx, loadPatience)
	defer cancel()
	for {
		reply, err := h.askLoaded(ctx, o)
		switch {
		case err == nil && reply.Loaded:
			return nil
		case err == nil && reply.Error != "":
			return fmt.Errorf("domain %s: the other host: %s", o.name, reply.Error)
		case !pause.For(ctx, sendingLook):
			return errors.Join(fmt.Errorf("domain %s: the other host does not have it as a whole: %w", o.name,
				ctx.Err()), err)
		}
	}
}

func (h *Host) askLoaded(ctx context.Context, o sendOrder) (peer.MigratedReply, error) {
	var reply peer.MigratedReply
	address := "https://" + o.To.API + peer.PathMigrated + "?" + receiverQuery(o).Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return reply, err
	}
	res, err := h.options.Reach(o.To.ID).RoundTrip(req)
	if err != nil {
		return reply, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return reply, errors.New(res.Status)
	}
	return reply, json.NewDecoder(io.LimitReader(res.Body, 4096)).Decode(&reply)
}

// Receiving is one guest that another host sends.
type Receiving struct {
	process domain.Process
	guest   domain.Migrant
	legs    []peer.ReceiveLeg // that it will need
}

// Receiving returns the guest of a domain that this host takes in by an operation, if from is the host that the
// coordinators have it sent by.
func (h *Host) Receiving(ctx context.Context, from volume.NodeID, name string, operation uint64) (*Receiving, error) {
	return h.inLoop(ctx, func() (*Receiving, error) { return h.receiving(from, name, operation) })
}

// Receive is Receiving for who is about to send the guest's state, which one process is sent once. An attempt that its
// sender gave up may have come here as a whole, and the guest have run on since: what says that it is here must not
// speak of that one to a sender whose next attempt came to nothing.
func (h *Host) Receive(ctx context.Context, from volume.NodeID, name string, operation uint64) (*Receiving, error) {
	return h.inLoop(ctx, func() (*Receiving, error) {
		r, err := h.receiving(from, name, operation)
		if err == nil && h.unsent[name] != r.process {
			return nil, fmt.Errorf("domain %s: what takes it in here was sent something already, or may have been",
				name)
		}
		if err == nil {
			delete(h.unsent, name)
		}
		return r, err
	})
}

// inLoop has the loop look for a guest that is taken in.
func (h *Host) inLoop(ctx context.Context, look func() (*Receiving, error)) (*Receiving, error) {
	type answer struct {
		receiving *Receiving
		err       error
	}
	found := make(chan answer, 1)
	h.post(func() {
		r, err := look()
		found <- answer{r, err}
	})
	select {
	case a := <-found:
		return a.receiving, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-h.life.Done():
		return nil, errors.New("this node's daemon is about to end")
	}
}

// receiving is Receiving in the loop.
func (h *Host) receiving(from volume.NodeID, name string, operation uint64) (*Receiving, error) {
	d := h.core.domains[name]
	if d == nil || d.receive == nil || d.receive.Operation != operation || d.receive.From != from {
		return nil, fmt.Errorf("domain %s: this host does not take it in by operation %d from who sends it", name,
			operation)
	}
	process := h.guests[name].process
	guest, ok := process.(domain.Migrant)
	if !ok || process.Order().Incoming != operation || process.State().Phase.Ended() {
		return nil, fmt.Errorf("domain %s: this host is not ready yet to take it in", name)
	}
	return &Receiving{process, guest, d.receive.Legs}, nil
}

// Take carries the state of the guest from a stream until either ends. It closes the stream.
func (r *Receiving) Take(ctx context.Context, stream net.Conn) error {
	into, err := (&net.Dialer{}).DialContext(ctx, "unix", domain.ReceiveSocket(r.process.Order().Dir))
	if err != nil {
		return errors.Join(err, stream.Close())
	}
	return splice(ctx, stream, into)
}

// Loaded says whether the guest is here as a whole, and could go on here: the legs that it needs are looked for again
// then, since after the switch there is no way back.
func (r *Receiving) Loaded(ctx context.Context) peer.MigratedReply {
	loaded, err := r.guest.Loaded(ctx)
	if err == nil && loaded {
		err = r.Reaches(ctx)
	}
	if err != nil {
		return peer.MigratedReply{Error: err.Error()}
	}
	return peer.MigratedReply{Loaded: loaded}
}

// receiveGuest starts what takes a guest in.
func (h *Host) receiveGuest(ctx context.Context, a action) error {
	driver := h.options.Drivers[a.order.Driver]
	receiver, ok := driver.(domain.Receiver)
	if !ok {
		return fmt.Errorf("domain %s: the driver %q takes in no guests on this host", a.name, a.order.Driver)
	}
	return h.startBy(ctx, a, driver, func(ctx context.Context, o domain.Order) (domain.Process, error) {
		process, err := receiver.Receive(ctx, o)
		if err == nil {
			h.post(func() { h.unsent[a.name] = process })
		}
		return process, err
	})
}

// plugGuest has a guest run that was taken in, and killed when the grant of a disk is lost. One for which that does not
// work ends: the core boots it.
func (h *Host) plugGuest(ctx context.Context, a action, g hosted, disks []*running) error {
	if g.process == nil || g.process.Order().Run != a.run {
		return nil
	}
	err := h.plugAndRun(ctx, a, g, disks)
	if err != nil {
		h.options.Logger.Error("guest was taken in, and does not run: it is started anew", "domain", a.name,
			"error", err)
		err = errors.Join(err, g.process.Stop(ctx, 0))
	}
	h.post(func() { h.core.guestSeen(seenGuest(g.process)) })
	return err
}

func (h *Host) plugAndRun(ctx context.Context, a action, g hosted, disks []*running) error {
	guest, ok := g.process.(domain.Migrant)
	if !ok {
		return fmt.Errorf("domain %s: its guest cannot be plugged in", a.name)
	}
	if err := guest.Plug(ctx, a.order.Volumes); err != nil {
		return err
	}
	for i, e := range disks {
		v := a.order.Volumes[i]
		if e == nil || e.hello.AttachID != v.AttachID {
			return fmt.Errorf("domain %s: the engine of volume %s is gone", a.name, v.Name)
		}
		if err := guard(ctx, a.name, e, g.process); err != nil { // before it can write
			return err
		}
	}
	if err := guest.Run(ctx); err != nil {
		return err
	}
	h.post(func() {
		for _, v := range a.order.Volumes {
			h.core.guestGuarded(a.name, v.ID, v.AttachID)
		}
	})
	return nil
}

// endSending returns what ends the sending of a guest, if one is under way, and waits until nothing of it goes on: the
// guest might be sent just when it is told to run on. The loop calls it.
func (h *Host) endSending(name string) func(context.Context) error {
	s := h.sendings[name]
	return func(ctx context.Context) error {
		if s == nil {
			return nil
		}
		s.stop()
		select {
		case <-s.over:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("domain %s: its sending goes on: %w", name, ctx.Err())
		}
	}
}

// runOn has a guest that a sending may have halted run on, so that it can end in order. An error means that it is not
// known whether it may, and it stays as it is. If it may not, or cannot, it is ended as it is.
func (h *Host) runOn(ctx context.Context, a action, g hosted, endSending func(context.Context) error) error {
	if err := endSending(ctx); err != nil {
		return err
	}
	switch err := h.resumeGuest(ctx, a, g); {
	case errors.Is(err, errMayNot), errors.Is(err, errDoesNot):
		h.options.Logger.Warn("guest that is to end does not run on before", "domain", a.name, "error", err)
		return nil
	default:
		return err
	}
}

// The errors of resumeGuest of which it is known how they leave the guest.
var (
	errMayNot  = errors.New("it may not run on here")
	errDoesNot = errors.New("it does not run on")
)

// resumeGuest has a guest run on that was to move. It asks first: only when the coordinators have committed that the
// migration will never switch is the guest this host's to run.
func (h *Host) resumeGuest(ctx context.Context, a action, g hosted) error {
	if g.process == nil || g.process.Order().Run != a.run {
		return nil
	}
	guest, ok := g.process.(domain.Migrant)
	if !ok {
		return fmt.Errorf("domain %s: %w: its driver cannot", a.name, errDoesNot)
	}
	result, err := h.options.Coordinators.Command(ctx, abortion(a.name, a.run, a.operation, "its host begins anew"))
	if err != nil {
		return fmt.Errorf("domain %s: may it run on: %w", a.name, err)
	}
	if result.Err != nil {
		return fmt.Errorf("domain %s: %w: %w", a.name, errMayNot, result.Err)
	}
	err = guest.Resume(ctx)
	h.post(func() { h.core.guestSeen(seenGuest(g.process)) })
	if err != nil {
		return fmt.Errorf("%w: %w", errDoesNot, err)
	}
	return nil
}
