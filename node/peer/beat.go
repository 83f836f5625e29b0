package peer

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/volume"
)

// wholeEvery is how often a coordinator is told everything although there is no news: what is measured may be so
// old there.
const wholeEvery = 2 * time.Second

// Still is a heartbeat of a node that has no news since its last whole one: in a large cluster most of what
// coordinators did while nothing happened was to read that nothing had.
type Still struct {
	Version int           `json:"version"`
	Node    volume.NodeID `json:"node"`
	Start   uint64        `json:"start"` // as in Heartbeat
	Seq     uint64        `json:"seq"`
}

// told is what coordinators have of a node: the digest of the news that each was told last, and when.
type told struct {
	mu sync.Mutex
	by map[volume.NodeID]toldOnce
}

type toldOnce struct {
	news [sha256.Size]byte
	at   time.Time
}

// has reports whether a coordinator has the news, and was told all of it lately.
func (t *told) has(id volume.NodeID, news [sha256.Size]byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, ok := t.by[id]
	return ok && last.news == news && time.Since(last.at) < wholeEvery
}

// note keeps what a coordinator answered to a whole heartbeat: one that knows no Still says that it keeps none.
func (t *told) note(id volume.NodeID, news [sha256.Size]byte, keeps bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !keeps {
		delete(t.by, id)
		return
	}
	if t.by == nil {
		t.by = map[volume.NodeID]toldOnce{}
	}
	t.by[id] = toldOnce{news, time.Now()}
}

// Heartbeat sends a node's heartbeat to every coordinator at once and returns the answers that came
// soon; it is an error only if there is none. A coordinator that has all of it, but for what was measured anew, is
// told only that the node lives.
func (c *Client) Heartbeat(ctx context.Context, h Heartbeat) ([]HeartbeatReply, error) {
	h.Version = Version
	whole, err := json.Marshal(h) // once for all of them
	if err != nil {
		return nil, fmt.Errorf("encode a heartbeat: %w", err)
	}
	news, err := newsOf(h)
	if err != nil {
		return nil, fmt.Errorf("encode a heartbeat: %w", err)
	}
	still := Still{Version: Version, Node: h.Node, Start: h.Start, Seq: h.Seq}
	return c.broadcast(ctx, PathHeartbeat, func(ctx context.Context, p Peer, reply *HeartbeatReply) error {
		if c.told.has(p.ID, news) {
			_, err := c.call(ctx, http.MethodPost, p, PathStill, still, reply)
			if err == nil && reply.Keeps {
				return nil
			}
			*reply = HeartbeatReply{} // it was started anew, or is of a release before
		}
		_, err := c.call(ctx, http.MethodPost, p, PathHeartbeat, json.RawMessage(whole), reply)
		c.told.note(p.ID, news, err == nil && reply.Keeps)
		return err
	})
}

// newsOf returns the digest of all of a heartbeat that anything is decided by. What is left out is measured, and
// changes all the time.
func newsOf(h Heartbeat) ([sha256.Size]byte, error) {
	h.Seq = 0
	h.Health.Clock.Offset, h.Health.Clock.Bound, h.Health.Clock.StepAge = 0, 0, 0
	h.Stores = slices.Clone(h.Stores)
	for i := range h.Stores {
		s := &h.Stores[i]
		s.FreeBytes, s.Disk = 0, diskNews(s.Disk)
		s.Legs = slices.Clone(s.Legs)
		for j := range s.Legs {
			s.Legs[j].ReadMicros, s.Legs[j].UsedBytes = 0, 0
		}
	}
	h.Images = slices.Clone(h.Images)
	for i := range h.Images {
		h.Images[i].DoneBytes = 0
	}
	h.Engines = slices.Clone(h.Engines)
	for i := range h.Engines {
		e := &h.Engines[i]
		e.Uptime, e.MemoryBytes = 0, 0
		if e.Scrub != nil {
			e.Scrub = &ScrubStatus{ID: e.Scrub.ID, Total: e.Scrub.Total}
		}
		e.Legs = slices.Clone(e.Legs)
		for j := range e.Legs {
			e.Legs[j].CopyDone, e.Legs[j].BannedFor = 0, 0
		}
	}
	text, err := json.Marshal(h)
	return sha256.Sum256(text), err
}

func diskNews(d *DiskStatus) *DiskStatus {
	if d == nil {
		return nil
	}
	news := *d
	news.ReadMicros, news.UsualMicros = 0, 0
	if d.Smart != nil {
		smart := *d.Smart
		smart.TemperatureC, smart.PowerOnHours, smart.At = 0, 0, time.Time{}
		news.Smart = &smart
	}
	return &news
}
