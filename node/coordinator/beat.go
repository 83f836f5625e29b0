package coordinator

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// beat is the last heartbeat of a node as it came, so that one which says the same need not be decoded: in a
// large cluster that was most of what an idle leader did.
type beat struct {
	before, after []byte    // of the number that grows with every heartbeat
	decoded       time.Time // when one that said this was decoded
}

// beatFresh is how long the same words are taken without a look at them.
const beatFresh = 5 * time.Second

// splitBeat cuts a heartbeat at its number. It is not ok for one that does not have it among its first
// fields, as the encoder writes it: that is decoded.
func splitBeat(body []byte) (before, after []byte, seq uint64, ok bool) {
	const field = `"seq":`
	i := bytes.Index(body, []byte(field))
	if i < 0 || bytes.Count(body[:i], []byte("{")) != 1 || bytes.IndexByte(body[:i], '[') >= 0 {
		return nil, nil, 0, false
	}
	start := i + len(field)
	end := start
	for end < len(body) && body[end] >= '0' && body[end] <= '9' {
		end++
	}
	seq, err := strconv.ParseUint(string(body[start:end]), 10, 64)
	return body[:start], body[end:], seq, err == nil
}

// hearSame takes a heartbeat that says what the node's last one said, and reports whether it is one.
func (c *Coordinator) hearSame(node volume.NodeID, body []byte) bool {
	before, after, seq, ok := splitBeat(body)
	if !ok {
		return false
	}
	now := c.opts.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	last, known := c.beats[node]
	if !known || now.Sub(last.decoded) >= beatFresh || !bytes.Equal(before, last.before) ||
		!bytes.Equal(after, last.after) || !c.facts.HearAgain(now, node, seq) {
		return false
	}
	c.known[node] = true
	c.liveness.Heard(node, now)
	return true
}

// keepBeat remembers a heartbeat that was decoded.
func (c *Coordinator) keepBeat(node volume.NodeID, body []byte) {
	before, after, _, ok := splitBeat(body)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beats[node] = beat{before: before, after: after, decoded: c.opts.Now()}
}

// serveHeartbeat takes a heartbeat of a node's daemon.
func (c *Coordinator) serveHeartbeat(w http.ResponseWriter, r *http.Request) {
	id, ok := c.caller(w, r)
	if !ok {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, peerBytesMax))
	if err != nil {
		http.Error(w, "request body: "+err.Error(), http.StatusBadRequest)
		return
	}
	if !c.hearSame(id, body) {
		var h peer.Heartbeat
		if err := json.Unmarshal(body, &h); err != nil {
			http.Error(w, "request body: "+err.Error(), http.StatusBadRequest)
			return
		}
		if !sameVersion(w, h.Version) || !ownWord(w, id, h.Node) {
			return
		}
		c.hearNode(h)
		c.keepBeat(id, body)
	}
	c.meters.heartbeats.WithLabelValues("node").Inc()
	write(w, http.StatusOK, c.leaderReply())
}
