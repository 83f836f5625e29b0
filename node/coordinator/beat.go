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
	start         uint64    // of the daemon
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
		!bytes.Equal(after, last.after) || !c.facts.HearAgain(now, node, last.start, seq) {
		return false
	}
	c.known[node] = true
	c.liveness.HeardDaemon(node, last.start, now)
	return true
}

// hearStill takes a heartbeat without news. It reports whether it adds to a whole one of the same start; the node
// lives also if it does not.
func (c *Coordinator) hearStill(s peer.Still) bool {
	now := c.opts.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[s.Node] = true
	c.liveness.HeardDaemon(s.Node, s.Start, now)
	return c.facts.HearAgain(now, s.Node, s.Start, s.Seq)
}

func (c *Coordinator) serveStill(w http.ResponseWriter, r *http.Request) {
	var s peer.Still
	id, ok := c.caller(w, r)
	if !ok || !read(w, r, &s) || !sameVersion(w, s.Version) || !ownWord(w, id, s.Node) {
		return
	}
	c.meters.heartbeats.WithLabelValues("node").Inc()
	reply := c.leaderReply()
	reply.Keeps = c.hearStill(s)
	write(w, http.StatusOK, reply)
}

// keepBeat remembers a heartbeat that was decoded. It reports whether it is the newest of its node: one that was
// late is not what the next one may say again.
func (c *Coordinator) keepBeat(h peer.Heartbeat, body []byte) bool {
	before, after, _, ok := splitBeat(body)
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.facts.Nodes[h.Node]
	if n == nil || n.Start != h.Start || n.Seq != h.Seq {
		return false
	}
	delete(c.beats, h.Node)
	if ok {
		c.beats[h.Node] = beat{before: before, after: after, start: h.Start, decoded: c.opts.Now()}
	}
	return true
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
	keeps := c.hearSame(id, body)
	if !keeps {
		var h peer.Heartbeat
		if err := json.Unmarshal(body, &h); err != nil {
			http.Error(w, "request body: "+err.Error(), http.StatusBadRequest)
			return
		}
		if !sameVersion(w, h.Version) || !ownWord(w, id, h.Node) {
			return
		}
		c.hearNode(h)
		keeps = c.keepBeat(h, body)
	}
	c.meters.heartbeats.WithLabelValues("node").Inc()
	reply := c.leaderReply()
	reply.Keeps = keeps
	write(w, http.StatusOK, reply)
}
