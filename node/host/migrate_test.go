package host

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// movable is a fake of a guest that can be sent. It notes what was done with it, in order.
type movable struct {
	domain.Process // nil: what is not faked is not called
	order          domain.Order
	how            domain.Sending // what becomes of a sending
	fails          error          // of Send
	told           *journal
}

// journal is what happened, in order, by whomever.
type journal struct {
	mu    sync.Mutex // protects what follows
	lines []string
}

func (j *journal) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "; ")
}

func (m *movable) Order() domain.Order { return m.order }

func (m *movable) State() domain.State { return domain.State{Phase: domain.PhaseRunning} }

func (m *movable) Send(ctx context.Context, operation uint64, path string) error {
	m.told.note("send by operation %d", operation)
	if m.fails != nil {
		return m.fails
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte("the state of the guest"))
	return errors.Join(err, conn.Close())
}

func (m *movable) Sending(context.Context) (domain.Sending, error) { return m.how, nil }

func (m *movable) Resume(context.Context) error { m.told.note("resume"); return nil }

func (m *movable) Loaded(context.Context) (bool, error) { return true, nil }

func (m *movable) Plug(context.Context, []domain.Volume) error { return nil }

func (m *movable) Run(context.Context) error { return nil }

// decider is a fake of the coordinators that notes what it is asked.
type decider struct {
	told   *journal
	refuse map[string]raft.Code // by the name of the command
}

func (d *decider) Command(_ context.Context, c raft.Command) (raft.Result, error) {
	if code := d.refuse[c.Name()]; code != "" {
		d.told.note("%s refused", c.Name())
		return raft.Result{Err: &raft.Refusal{Code: code, Message: "no"}}, nil
	}
	switch {
	case c.SwitchMigration != nil:
		d.told.note("switch %d run %d epochs %v", c.SwitchMigration.ID, c.SwitchMigration.Run, c.SwitchMigration.Epochs)
	case c.AbortMigration != nil:
		d.told.note("abort %d run %d", c.AbortMigration.ID, c.AbortMigration.Run)
	}
	return raft.Result{}, nil
}

func (d *decider) Assignment(context.Context, volume.NodeID, uint64) (peer.Assignment, error) {
	return peer.Assignment{}, errors.New("not asked for here")
}

func (d *decider) Gone(context.Context, []volume.ID) ([]volume.ID, error) {
	return nil, errors.New("not asked for here")
}

// receiver is the other host: it takes what is sent, and says what it has.
func receiver(t *testing.T, told *journal, reply peer.MigratedReply) (*httptest.Server,
	func(volume.NodeID) http.RoundTripper) {
	t.Helper()
	mux := http.NewServeMux()
	here := make(chan struct{}) // closed when the state is, of which the sender is not told
	mux.HandleFunc("POST "+peer.PathMigrate, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != peer.UpgradeMigrate || r.FormValue("operation") != "7" {
			http.Error(w, "what is this", http.StatusBadRequest)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = fmt.Fprintf(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n",
			peer.UpgradeMigrate)
		_ = buffered.Flush()
		var all bytes.Buffer
		_, _ = io.Copy(&all, buffered)
		told.note("received %q", all.String())
		close(here)
	})
	mux.HandleFunc("GET "+peer.PathMigrated, func(w http.ResponseWriter, _ *http.Request) {
		<-here
		told.note("asked")
		_, _ = fmt.Fprintf(w, `{"loaded": %t, "error": %q}`, reply.Loaded, reply.Error)
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	transport := &http.Transport{TLSClientConfig: server.Client().Transport.(*http.Transport).TLSClientConfig,
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}
	t.Cleanup(transport.CloseIdleConnections)
	return server, func(volume.NodeID) http.RoundTripper { return transport }
}

// sendOne sends a guest to another host and returns what happened.
func sendOne(t *testing.T, m *movable, reply peer.MigratedReply, refuse map[string]raft.Code) string {
	t.Helper()
	told := &journal{}
	server, reach := receiver(t, told, reply)
	m.told, m.order = told, domain.Order{Name: "web1", Run: 3, Dir: t.TempDir()}
	life, end := context.WithCancel(t.Context())
	h := &Host{life: life, events: make(chan func(), 64), options: Options{Reach: reach,
		Coordinators: &decider{told, refuse}, Logger: slog.New(slog.DiscardHandler)}}
	order := sendOrder{name: "web1", run: 3, epochs: []volume.Epoch{5}, MigrateOrder: peer.MigrateOrder{Operation: 7,
		To: peer.Peer{API: strings.TrimPrefix(server.URL, "https://")}}}
	h.sendGuest(life, order, m)
	end()
	h.jobs.Wait()
	return told.text()
}

// A guest switches once all of it was sent, and the other host has it. Until then the one thing that is asked for is
// that it stays.
func TestSendGuest_switchesOnlyWhatIsThereAsAWhole(t *testing.T) {
	cases := map[string]struct {
		guest  movable
		reply  peer.MigratedReply
		refuse map[string]raft.Code
		want   string
	}{
		"it moves": {
			guest: movable{how: domain.SendingDone}, reply: peer.MigratedReply{Loaded: true},
			want: `send by operation 7; received "the state of the guest"; asked; switch 7 run 3 epochs [5]`,
		},
		"the coordinators refuse": {
			guest: movable{how: domain.SendingDone}, reply: peer.MigratedReply{Loaded: true},
			refuse: map[string]raft.Code{"switch_migration": raft.CodeStale},
			want: `send by operation 7; received "the state of the guest"; asked; switch_migration refused; ` +
				`abort 7 run 3`,
		},
		"the other host cannot load it": {
			guest: movable{how: domain.SendingDone}, reply: peer.MigratedReply{Error: "unknown machine"},
			want: `send by operation 7; received "the state of the guest"; asked; abort 7 run 3`,
		},
		"it is not sent as a whole": {
			guest: movable{how: domain.SendingOver}, reply: peer.MigratedReply{Loaded: true},
			want: "abort 7 run 3",
		},
		"it cannot be sent": {
			guest: movable{how: domain.SendingNone, fails: errors.New("it is paused")},
			reply: peer.MigratedReply{Loaded: true},
			want:  "abort 7 run 3",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := sendOne(t, &c.guest, c.reply, c.refuse)
			if strings.HasPrefix(c.want, "send") {
				require.Equal(t, c.want, got)
				return
			}
			require.Contains(t, got, c.want)
			require.NotContains(t, got, "switch")
		})
	}
}

// A guest that may be halted is run on only by leave of the coordinators.
func TestResumeGuest_asksFirst(t *testing.T) {
	for name, c := range map[string]struct {
		refuse map[string]raft.Code
		want   string
	}{
		"it stays": {want: "abort 7 run 3; resume"},
		"it has moved": {refuse: map[string]raft.Code{"abort_migration": raft.CodeStale},
			want: "abort_migration refused"},
	} {
		t.Run(name, func(t *testing.T) {
			told := &journal{}
			h := &Host{life: t.Context(), events: make(chan func(), 64), options: Options{
				Coordinators: &decider{told, c.refuse}, Logger: slog.New(slog.DiscardHandler)}}
			g := hosted{process: &movable{told: told, order: domain.Order{Name: "web1", Run: 3}}}
			err := h.resumeGuest(t.Context(), action{name: "web1", run: 3, operation: 7}, g)
			require.Equal(t, c.refuse != nil, err != nil)
			require.Equal(t, c.want, told.text())
		})
	}
}

// A guest that is sent by an attempt that was given up may be here as a whole all the same, while it ran on where it
// was. What another attempt sends must not come to nothing here and the older state pass for it.
func TestReceive_oneStateIsSentToOneProcess(t *testing.T) {
	from, other := volume.NodeID{UUID: volume.NewUUID()}, volume.NodeID{UUID: volume.NewUUID()}
	started := &movable{order: domain.Order{Name: "web1", Run: 4, Incoming: 7}}
	h := &Host{life: t.Context(), events: make(chan func(), 64), core: newCore("/run", nil),
		guests: map[string]hosted{"web1": {process: started}}, unsent: map[string]domain.Process{"web1": started}}
	h.core.domain("web1").receive = &peer.ReceiveOrder{Operation: 7, From: from, Name: "web1", Run: 4}
	loop, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case f := <-h.events:
				f()
			case <-loop.Done():
				return
			}
		}
	}()
	defer func() { end(); <-done }()

	_, err := h.Receive(t.Context(), other, "web1", 7)
	require.ErrorContains(t, err, "from who sends it")
	_, err = h.Receive(t.Context(), from, "web1", 8)
	require.ErrorContains(t, err, "from who sends it")
	got, err := h.Receive(t.Context(), from, "web1", 7)
	require.NoError(t, err)
	require.Equal(t, started, got.process)
	_, err = h.Receive(t.Context(), from, "web1", 7)
	require.ErrorContains(t, err, "sent something already")
	asked, err := h.Receiving(t.Context(), from, "web1", 7)
	require.NoError(t, err, "what became of it may be asked again and again")
	require.True(t, asked.Loaded(t.Context()).Loaded)

	// Of one that an earlier daemon started it is not known whether something was sent.
	h.guests["web1"] = hosted{process: &movable{order: started.order}}
	h.unsent["web1"] = started
	_, err = h.Receive(t.Context(), from, "web1", 7)
	require.ErrorContains(t, err, "sent something already")
}

// A guest is run on only when nothing of its sending goes on: that might be about to begin.
func TestResumeGuest_waitsForTheEndOfTheSending(t *testing.T) {
	told := &journal{}
	life, stop := context.WithCancel(t.Context())
	s := &sending{operation: 7, stop: func() { told.note("stop"); stop() }, over: make(chan struct{})}
	h := &Host{life: t.Context(), events: make(chan func(), 64), sendings: map[string]*sending{"web1": s},
		guests:  map[string]hosted{"web1": {process: &movable{told: told, order: domain.Order{Name: "web1", Run: 3}}}},
		options: Options{Coordinators: &decider{told, nil}, Logger: slog.New(slog.DiscardHandler)}}
	do := h.jobOf(action{job: resumeGuest, name: "web1", run: 3, operation: 7})
	go func() {
		<-life.Done()
		told.note("its sending has ended")
		close(s.over)
	}()
	require.NoError(t, do(t.Context()))
	require.Equal(t, "stop; its sending has ended; abort 7 run 3; resume", told.text())
}
