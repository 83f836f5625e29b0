package peer_test

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// keeper is a coordinator that counts what it is told.
type keeper struct {
	mu            sync.Mutex
	forgets, old  bool // it was started anew; it is of a release before
	whole, stills int
	last          peer.Heartbeat
}

func (k *keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	reply := peer.HeartbeatReply{Keeps: !k.old}
	switch {
	case r.URL.Path == peer.PathHeartbeat:
		k.whole, k.forgets = k.whole+1, false
		_ = json.NewDecoder(r.Body).Decode(&k.last)
	case k.old:
		http.NotFound(w, r)
		return
	default:
		k.stills++
		reply.Keeps = !k.forgets
	}
	_ = json.NewEncoder(w).Encode(reply)
}

func (k *keeper) counts() (whole, stills int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.whole, k.stills
}

// TestHeartbeat_withoutNews: what was measured anew is no news, and everything else is told in full and at once.
func TestHeartbeat_withoutNews(t *testing.T) {
	k := &keeper{}
	c := clientOf(t, newNode(t, k.ServeHTTP))
	h := peer.Heartbeat{Node: volume.NewNodeID(), Start: 1,
		Stores:  []peer.StoreStatus{{Legs: []peer.LegStatus{{State: peer.LegOK}}, Disk: &peer.DiskStatus{}}},
		Engines: []peer.EngineStatus{{State: peer.EngineServing, Legs: []peer.EngineLeg{{State: "joining"}}}},
		Domains: []peer.DomainStatus{{Name: "web1", State: "running"}}}
	whole, stills := 0, 0
	told := time.Now()
	beat := func(news bool) {
		t.Helper()
		h.Seq++
		before := time.Now()
		_, err := c.Heartbeat(t.Context(), h)
		require.NoError(t, err)
		switch {
		case news:
			whole, told = whole+1, before
		case time.Since(told) >= time.Second:
			t.Skip("the machine is so slow that everything was due again")
		default:
			stills++
		}
		haveWhole, haveStills := k.counts()
		require.Equal(t, []int{whole, stills}, []int{haveWhole, haveStills})
	}
	beat(true)
	beat(false)
	h.Engines[0].Uptime, h.Engines[0].MemoryBytes, h.Engines[0].Legs[0].CopyDone = time.Hour, 1, 1
	h.Stores[0].FreeBytes, h.Stores[0].Legs[0].ReadMicros, h.Stores[0].Disk.ReadMicros = 1, 1, 1
	h.Health.Clock.Offset = time.Millisecond
	beat(false)
	for _, change := range []func(){
		func() { h.Engines[0].State = peer.EngineHeld },
		func() { h.Engines[0].Legs[0].State = "in_sync" },
		func() { h.Engines[0].Stages = []peer.Stage{{Name: "first_read", At: time.Second}} },
		func() { h.Stores[0].Legs[0].State = peer.LegBad },
		func() { h.Stores[0].Error = "it cannot be read" },
		func() { h.Stores[0].Disk.FailedChecks = 1 },
		func() { h.Domains[0].State = "exited" },
		func() { h.Start = 2 },
	} {
		change()
		beat(true)
		beat(false)
	}
	require.Equal(t, time.Hour, k.last.Engines[0].Uptime)
}

// TestHeartbeat_toWhoDoesNotKeep: a coordinator that was started anew, or is of a release before, is told
// everything, and waits for no other heartbeat.
func TestHeartbeat_toWhoDoesNotKeep(t *testing.T) {
	k := &keeper{}
	c := clientOf(t, newNode(t, k.ServeHTTP))
	h := peer.Heartbeat{Node: volume.NewNodeID(), Start: 1}
	began := time.Now()
	beat := func() {
		t.Helper()
		h.Seq++
		replies, err := c.Heartbeat(t.Context(), h)
		require.NoError(t, err)
		require.Len(t, replies, 1)
	}
	counts := func(whole, stills int) {
		t.Helper()
		if time.Since(began) >= time.Second {
			t.Skip("the machine is so slow that everything was due again")
		}
		haveWhole, haveStills := k.counts()
		require.Equal(t, []int{whole, stills}, []int{haveWhole, haveStills})
	}
	beat()
	beat()
	counts(1, 1)
	k.mu.Lock()
	k.forgets = true
	k.mu.Unlock()
	beat()
	counts(2, 2)
	beat()
	counts(2, 3)
	k.mu.Lock()
	k.old = true
	k.mu.Unlock()
	beat()
	beat()
	beat()
	counts(5, 3)
}
