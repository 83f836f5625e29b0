package coordinator

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// peerBytesMax bounds a request: a heartbeat of some thousand legs.
const peerBytesMax = 16 << 20

// commandTimeout bounds the wait for a peer's command to be committed; the peer repeats it.
const commandTimeout = 3 * time.Second

func (c *Coordinator) peerRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+peer.PathHeartbeat, c.serveHeartbeat)
	mux.HandleFunc("POST "+peer.PathStill, c.serveStill)
	mux.HandleFunc("POST "+peer.PathEngineHeartbeat, c.serveEngineHeartbeat)
	mux.HandleFunc("POST "+pathHeard, c.serveHeard)
	mux.HandleFunc("POST "+peer.PathRegister, c.serveRegister)
	mux.HandleFunc("POST "+peer.PathCommand, c.serveCommand)
	mux.HandleFunc("POST "+peer.PathRenew, c.serveRenew)
	mux.HandleFunc("POST "+peer.PathGone, c.serveGone)
	mux.HandleFunc("GET "+peer.PathAssignment, c.serveAssignment)
	mux.HandleFunc("GET "+peer.PathTicket, c.serveTicket)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, fmt.Sprintf("this coordinator has no %s %s: it speaks version %d of the peer protocol, as "+
			"its release does; %s", r.Method, r.URL.Path, peer.Version, upgradeHint), http.StatusNotFound)
	})
	return mux
}

// caller returns the node that a request came from, and answers the request if that is not known.
func (c *Coordinator) caller(w http.ResponseWriter, r *http.Request) (volume.NodeID, bool) {
	id, err := c.opts.Identify(r)
	if err != nil {
		http.Error(w, "who asks is not known: "+err.Error(), http.StatusForbidden)
		return id, false
	}
	return id, true
}

// read decodes a request's body and answers the request if that fails.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, peerBytesMax)).Decode(into)
	if err != nil {
		http.Error(w, "request body: "+err.Error(), http.StatusBadRequest)
	}
	return err == nil
}

// upgradeHint says what to do about a peer of another version.
const upgradeHint = "upgrade the older of the two, one release at a time"

// sameVersion answers the request if the peer is of another version of the protocol.
func sameVersion(w http.ResponseWriter, version int) bool {
	if version != peer.Version {
		http.Error(w, fmt.Sprintf("the sender speaks version %d of the peer protocol, this coordinator version %d: %s",
			version, peer.Version, upgradeHint), http.StatusBadRequest)
	}
	return version == peer.Version
}

// write answers with JSON. A peer that went away is not told.
func write(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

// misdirected answers that another coordinator leads.
func (c *Coordinator) misdirected(w http.ResponseWriter) {
	write(w, http.StatusMisdirectedRequest, c.leaderReply())
}

func (c *Coordinator) serveEngineHeartbeat(w http.ResponseWriter, r *http.Request) {
	var h peer.EngineHeartbeat
	id, ok := c.caller(w, r)
	if !ok || !read(w, r, &h) || !sameVersion(w, h.Version) || !ownWord(w, id, h.Node) {
		return
	}
	c.meters.heartbeats.WithLabelValues("engine").Inc()
	reply := c.leaderReply()
	reply.Pace = c.hearEngine(h)
	write(w, http.StatusOK, reply)
}

func (c *Coordinator) serveHeard(w http.ResponseWriter, r *http.Request) {
	var report heardReport
	id, ok := c.caller(w, r)
	if !ok || !read(w, r, &report) || !sameVersion(w, report.Version) || !ownWord(w, id, report.Node) {
		return
	}
	if !c.isCoordinator(id) {
		http.Error(w, "only coordinators say whom they hear", http.StatusForbidden)
		return
	}
	c.meters.heartbeats.WithLabelValues("coordinator").Inc()
	c.takeHeard(report)
	write(w, http.StatusOK, c.historyFor(report.Since))
}

// ownWord answers the request if a node speaks for another.
func ownWord(w http.ResponseWriter, caller, subject volume.NodeID) bool {
	if caller != subject {
		http.Error(w, fmt.Sprintf("node %s cannot speak for node %s", caller, subject), http.StatusForbidden)
	}
	return caller == subject
}

func (c *Coordinator) serveRegister(w http.ResponseWriter, r *http.Request) {
	var reg raft.RegisterNode
	if id, ok := c.caller(w, r); ok && read(w, r, &reg) {
		c.command(w, r, id, raft.Command{RegisterNode: &reg})
	}
}

func (c *Coordinator) serveCommand(w http.ResponseWriter, r *http.Request) {
	var cmd raft.Command
	if id, ok := c.caller(w, r); ok && read(w, r, &cmd) {
		c.command(w, r, id, cmd)
	}
}

// serveRenew gives a node another certificate in place of the one that it shows.
func (c *Coordinator) serveRenew(w http.ResponseWriter, r *http.Request) {
	if _, ok := c.caller(w, r); !ok {
		return
	}
	if !c.raft.Leading() {
		c.misdirected(w) // this one may not have heard yet that the node was removed
		return
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		http.Error(w, "there is no certificate to renew", http.StatusForbidden)
		return
	}
	cert, err := c.renew(r.TLS.PeerCertificates[0])
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	write(w, http.StatusOK, peer.Renewed{Cert: cert})
}

// command proposes a peer's command if its certificate entitles it to.
func (c *Coordinator) command(w http.ResponseWriter, r *http.Request, caller volume.NodeID,
	cmd raft.Command) {
	if !c.raft.Leading() {
		c.misdirected(w)
		return
	}
	state, _ := c.raft.State()
	if refusal := state.Authorise(caller, cmd); refusal != nil {
		http.Error(w, refusal.Message, http.StatusForbidden)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), commandTimeout)
	defer cancel()
	result, err := c.apply(ctx, cmd)
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrClosed):
		c.misdirected(w)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		write(w, http.StatusOK, result)
	}
}

// apply commits a command with this leader's own word on the time and on the wait of Activate, which
// it takes from nobody.
func (c *Coordinator) apply(ctx context.Context, cmd raft.Command) (raft.Result, error) {
	now := c.opts.Now()
	cmd.At = now
	if cmd.Activate != nil {
		activate := *cmd.Activate
		activate.Waited = c.waited(activate, now)
		cmd.Activate = &activate
	}
	result, err := c.commit(ctx, cmd)
	if err == nil && cmd.RecordFence != nil {
		state, _ := c.raft.State() // starts the clock of the wait at once, not at the next tick
		c.mu.Lock()
		c.observe(state, c.opts.Now())
		c.mu.Unlock()
	}
	return result, err
}

// commit has raft commit a command and counts it. A grant gets this leader's T_read.
func (c *Coordinator) commit(ctx context.Context, cmd raft.Command) (raft.Result, error) {
	if cmd.BeginAttach != nil {
		begin := *cmd.BeginAttach
		begin.TRead, cmd.BeginAttach = c.opts.TRead, &begin
	}
	if cmd.PlaceDomain != nil {
		place := *cmd.PlaceDomain
		place.TRead, cmd.PlaceDomain = c.opts.TRead, &place
	}
	if cmd.GrantMigration != nil {
		grant := *cmd.GrantMigration
		grant.TRead, cmd.GrantMigration = c.opts.TRead, &grant
	}
	if cmd.BeginDrill != nil {
		begin := *cmd.BeginDrill
		begin.Place.TRead, cmd.BeginDrill = c.opts.TRead, &begin
	}
	if cmd.ReturnDrill != nil {
		back := *cmd.ReturnDrill
		back.Place.TRead, cmd.ReturnDrill = c.opts.TRead, &back
	}
	began := time.Now()
	result, _, err := c.raft.Apply(ctx, cmd)
	c.meters.proposed(cmd, time.Since(began), result, err)
	return result, err
}

// waited reports whether this leader's clock says that the wait of an epoch is over.
func (c *Coordinator) waited(a raft.Activate, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leads && c.waits.Left(a.Volume, a.Epoch, now) == 0
}

func (c *Coordinator) serveAssignment(w http.ResponseWriter, r *http.Request) {
	caller, ok := c.caller(w, r)
	if !ok {
		return
	}
	node, err := volume.ParseUUID(r.FormValue("node"))
	if err != nil {
		http.Error(w, "node: "+err.Error(), http.StatusBadRequest)
		return
	}
	id := volume.NodeID{UUID: node}
	if !ownWord(w, caller, id) {
		return
	}
	c.watch(w, r, "node "+node.String(), node, func(s *raft.State) (any, bool) {
		return BuildAssignment(s, id, c.opts.TRead), true
	})
}

func (c *Coordinator) serveTicket(w http.ResponseWriter, r *http.Request) {
	caller, ok := c.caller(w, r)
	if !ok {
		return
	}
	vol, errVolume := volume.ParseUUID(r.FormValue("volume"))
	attach, errAttach := volume.ParseUUID(r.FormValue("attach"))
	if err := errors.Join(errVolume, errAttach); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.watch(w, r, "ticket "+attach.String(), vol, func(s *raft.State) (any, bool) {
		v := s.Volumes[volume.ID{UUID: vol}]
		if v == nil || v.Attach == nil || v.Attach.ID.UUID != attach || v.Attach.Host != caller {
			return nil, false
		}
		return BuildTicket(s, v, c.opts.TRead), true
	})
}

// answered is the last answer to a watch: which content a caller has that names its revision.
type answered struct {
	revision uint64
	sum      [sha256.Size]byte
}

// answersMax bounds what is remembered of watches; forgetting it costs an early answer.
const answersMax = 4096

// watch answers with what build makes of the state, without its revision, as soon as that differs from what the
// caller has or peer.WatchWait has passed; with 410 when build has nothing. It looks again when object has changed,
// and once a second if anything has.
func (c *Coordinator) watch(w http.ResponseWriter, r *http.Request, key string, object volume.UUID,
	build func(s *raft.State) (any, bool),
) {
	after, _ := strconv.ParseUint(r.FormValue("after"), 10, 64) // absent or bad counts as nothing seen
	timer := time.NewTimer(peer.WatchWait)
	defer timer.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	seen := c.seen(key, after)
	for over := false; ; {
		if !c.raft.Leading() {
			c.misdirected(w)
			return
		}
		state, revision := c.raft.State()
		content, ok := build(state)
		if !ok {
			http.Error(w, "the attachment is superseded or over", http.StatusGone)
			return
		}
		text, err := json.Marshal(content)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		sum := sha256.Sum256(text)
		if seen == nil && revision == after && after > 0 {
			seen = &sum
		}
		if over || seen == nil || *seen != sum {
			c.remember(key, answered{revision, sum})
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(atRevision(text, revision)) // a peer that went away is not told
			return
		}
		if over, ok = c.awaitChange(r.Context(), object, revision, timer.C, tick.C); !ok {
			return
		}
	}
}

// awaitChange waits until an object has changed after a revision, or the watch is over, or it is time to
// look for what concern does not know of, or this coordinator does not lead. It is not ok when ctx ended.
func (c *Coordinator) awaitChange(ctx context.Context, object volume.UUID, revision uint64,
	timer, tick <-chan time.Time) (over, ok bool) {
	wake, leave := c.audience.wait(object, revision)
	defer leave()
	for {
		select {
		case <-ctx.Done():
			return false, false
		case <-timer:
			return true, true
		case <-wake:
			return false, true
		case <-tick:
			if _, now := c.raft.State(); now != revision || !c.raft.Leading() {
				return false, true
			}
		}
	}
}

// seen returns what the caller has, nil if that is not known.
func (c *Coordinator) seen(key string, after uint64) *[sha256.Size]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a, ok := c.answers[key]; ok && a.revision == after {
		return &a.sum
	}
	return nil
}

func (c *Coordinator) remember(key string, a answered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.answers) >= answersMax {
		clear(c.answers)
	}
	c.answers[key] = a
}

// atRevision puts a revision into what was encoded without one, an assignment or a ticket: encoding the content
// a second time would cost as much as making it. No text within it can look like the field: its quotes would
// be escaped.
func atRevision(text []byte, revision uint64) []byte {
	return bytes.ReplaceAll(text, []byte(`"revision":0`), strconv.AppendUint([]byte(`"revision":`), revision, 10))
}
