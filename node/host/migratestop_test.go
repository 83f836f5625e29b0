package host

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/domain"
	"github.com/holdfast-storage/holdfast/domain/proc"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// endable is a guest that moves and can be ended.
type endable struct {
	*movable
	stuck error // of Resume
}

func (e endable) Stop(_ context.Context, grace time.Duration) error {
	e.told.note("stop within %s", grace)
	return nil
}

func (e endable) ID() proc.ID { return proc.ID{} }

func (e endable) Resume(ctx context.Context) error {
	if e.stuck != nil {
		return e.stuck
	}
	return e.movable.Resume(ctx)
}

// deafDecider answers no command.
type deafDecider struct{ *decider }

func (deafDecider) Command(context.Context, raft.Command) (raft.Result, error) {
	return raft.Result{}, errors.New("nobody leads")
}

// A guest that a sending may have halted is run on before it is asked to end: halted, it would be killed. It is not as
// long as nobody says that it may, and a guest that has moved never is.
func TestEndGuest_thatIsSentRunsOnFirst(t *testing.T) {
	for name, c := range map[string]struct {
		operation uint64
		refuse    map[string]raft.Code
		deaf      bool
		stuck     error
		want      string
	}{
		"it was stopped": {operation: 7, want: "abort 7 run 3; resume; stop within 1m0s"},
		"it is not sent": {want: "stop within 1m0s"},
		"it has moved": {operation: 7, refuse: map[string]raft.Code{"abort_migration": raft.CodeStale},
			want: "abort_migration refused; stop within 1m0s"},
		"nobody says":         {operation: 7, deaf: true, want: ""},
		"QEMU does not go on": {operation: 7, stuck: errors.New("no"), want: "abort 7 run 3; stop within 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			told := &journal{}
			var coordinators Coordinators = &decider{told, c.refuse}
			if c.deaf {
				coordinators = deafDecider{}
			}
			guest := endable{&movable{told: told, order: domain.Order{Name: "web1", Run: 3}}, c.stuck}
			h := &Host{life: t.Context(), events: make(chan func(), 64), sendings: map[string]*sending{},
				guests:  map[string]hosted{"web1": {process: guest}},
				options: Options{Coordinators: coordinators, Logger: slog.New(slog.DiscardHandler)}}
			do := h.jobOf(action{job: endGuest, name: "web1", run: 3, operation: c.operation, grace: time.Minute})
			err := do(t.Context())
			require.Equal(t, c.deaf, err != nil, "%v", err)
			require.Equal(t, c.want, told.text())
		})
	}
}

// Whoever was told to send a guest's state and does not is waited for no longer than that.
func TestAcceptState_hasADeadline(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	defer listener.Close()
	_, err = acceptState(listener, time.Millisecond)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	conn, err := net.Dial("unix", listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	near, err := acceptState(listener, patience)
	require.NoError(t, err)
	require.NoError(t, near.Close())
}

// A host that does not reach a leg says which before anything is switched, however whole the guest is there.
func TestReceiving_isNotLoadedWhereALegIsNotReached(t *testing.T) {
	up, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer up.Close()
	down, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, down.Close())
	legs := []peer.ReceiveLeg{{Volume: "root", Leg: volume.NewLegID(), Node: "n1", Portal: up.Addr().String()},
		{Volume: "data", Leg: volume.NewLegID(), Node: "n2", Portal: down.Addr().String()}}
	r := &Receiving{guest: &movable{}, legs: legs[:1]}
	require.Equal(t, peer.MigratedReply{Loaded: true}, r.Loaded(t.Context()))
	r.legs = legs
	reply := r.Loaded(t.Context())
	require.False(t, reply.Loaded)
	require.Contains(t, reply.Error, "leg "+legs[1].Leg.String()+" of volume data, on node n2, is not reached")
	require.NotContains(t, reply.Error, "n1")
	require.EqualError(t, r.Reaches(t.Context()), reply.Error)
}
