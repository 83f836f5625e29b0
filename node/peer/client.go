package peer

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// The answers of a coordinator that are not a body.
var (
	// ErrSuperseded means that a newer attachment exists. One coordinator's word is a hint: the
	// state it saw was committed, but who acts for good on it asks the Authority first.
	ErrSuperseded = errors.New("the attachment is superseded")
	// ErrNoLeader means that no coordinator led, or could be reached, within the deadline. Whether
	// a command was committed is unknown.
	ErrNoLeader = errors.New("no coordinator leads")
)

// The deadlines of single calls. A command's is longer than an election and shorter than a slow
// leg's deadline; a caller's context may end it earlier.
const (
	heartbeatTimeout  = 1500 * time.Millisecond
	heartbeatPatience = 250 * time.Millisecond // for the slowest coordinator, below any interval
	commandTimeout    = 5 * time.Second
	attemptTimeout    = 2 * time.Second // of one coordinator, which may be paused and not refuse
	dialTimeout       = time.Second
	hedgePause        = 150 * time.Millisecond // above a commit, below what a failover can afford
	retryPause        = 50 * time.Millisecond  // between two rounds, doubled up to retryPauseMax
	retryPauseMax     = 200 * time.Millisecond
)

// ClientOptions configures a Client.
type ClientOptions struct {
	Peers []Peer // at least one; SetPeers changes them
	// Follow is the restore of the cluster that the node followed last. Coordinators of an older one are asked
	// nothing once they said so in an answer to a heartbeat.
	Follow Lineage
	TLS    *tls.Config  // with the node's certificate and the cluster's CA; nil only for plain tests
	Logger *slog.Logger // nil discards
}

// Client talks to the coordinators. It follows the leader and tries them all. It is safe for use
// by many goroutines.
type Client struct {
	reach   *Transports
	scheme  string
	life    context.Context // of heartbeats that nobody waits for any more
	stop    context.CancelFunc
	running sync.WaitGroup
	told    told // what coordinators have of this node's heartbeats

	mu     sync.Mutex // protects what follows; never held across I/O
	peers  []Peer
	busy   map[string]bool        // path and address of heartbeats under way
	leader Peer                   // last one heard of, its address empty if not known; a hint only
	follow Lineage                // the newest that a coordinator said
	before map[volume.NodeID]bool // coordinators of before a restore: nothing is asked of them
	moved  chan struct{}          // closed, and replaced, when leader changes
}

// NewClient returns a client for the coordinators in o. Close it.
func NewClient(o ClientOptions) *Client {
	reach := NewTransports(o.TLS, o.Logger, func(settings *tls.Config) *http.Transport {
		return &http.Transport{
			TLSClientConfig:       settings,
			MaxIdleConnsPerHost:   4,
			IdleConnTimeout:       30 * time.Second,
			TLSHandshakeTimeout:   2 * time.Second,
			ResponseHeaderTimeout: WatchWait + 5*time.Second,
			DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 5 * time.Second}).DialContext,
		}
	})
	scheme := "https"
	if o.TLS == nil {
		scheme = "http"
	}
	life, stop := context.WithCancel(context.Background())
	return &Client{reach: reach, scheme: scheme, life: life, stop: stop,
		peers: slices.Clone(o.Peers), busy: make(map[string]bool), follow: o.Follow,
		before: make(map[volume.NodeID]bool), moved: make(chan struct{})}
}

// Close ends the heartbeats under way and drops the connections. Other calls end by their own
// contexts; none may begin any more.
func (c *Client) Close() {
	c.stop()
	c.running.Wait()
	c.reach.CloseIdleConnections()
}

// Reconnect drops the connections that are idle, so that the next calls show the certificate as it is now.
func (c *Client) Reconnect() { c.reach.CloseIdleConnections() }

// SetPeers replaces the coordinators to talk to; an empty list is ignored, since a client without
// any would never learn of others.
func (c *Client) SetPeers(peers []Peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(peers) > 0 {
		c.peers = slices.Clone(peers)
	}
}

// EngineHeartbeat sends an engine's heartbeat to every coordinator at once and returns the answers
// that came soon; it is an error only if there is none.
func (c *Client) EngineHeartbeat(ctx context.Context, h EngineHeartbeat) ([]HeartbeatReply, error) {
	h.Version = Version
	whole, err := json.Marshal(h) // once for all of them
	if err != nil {
		return nil, fmt.Errorf("encode a heartbeat: %w", err)
	}
	return c.broadcast(ctx, PathEngineHeartbeat, func(ctx context.Context, p Peer, reply *HeartbeatReply) error {
		_, err := c.call(ctx, http.MethodPost, p, PathEngineHeartbeat, json.RawMessage(whole), reply)
		return err
	})
}

// Command has the leader commit a command. Result.Err is raft's own refusal. An error means that
// the outcome is unknown: the command may have been committed. All commands that engines and nodes
// send are idempotent, so Command repeats them itself until ctx or its own deadline ends.
func (c *Client) Command(ctx context.Context, cmd raft.Command) (raft.Result, error) {
	return c.toLeader(ctx, PathCommand, cmd)
}

// Register adds this node to the cluster or brings its addresses and stores up to date; errors as
// for Command.
func (c *Client) Register(ctx context.Context, r raft.RegisterNode) (raft.Result, error) {
	return c.toLeader(ctx, PathRegister, r)
}

// Assignment returns what a node is to do, as soon as its revision is above after or WatchWait has
// passed.
func (c *Client) Assignment(ctx context.Context, node volume.NodeID, after uint64) (Assignment, error) {
	var a Assignment
	query := url.Values{"node": {node.String()}, "after": {strconv.FormatUint(after, 10)}}
	err := c.watch(ctx, PathAssignment, query, &a)
	return a, err
}

// Ticket returns an attachment's ticket, as soon as its revision is above after or WatchWait has
// passed. It returns ErrSuperseded when a coordinator says that the attachment is over.
func (c *Client) Ticket(ctx context.Context, v volume.ID, a volume.AttachID, after uint64) (Ticket, error) {
	var t Ticket
	query := url.Values{"volume": {v.String()}, "attach": {a.String()},
		"after": {strconv.FormatUint(after, 10)}}
	err := c.watch(ctx, PathTicket, query, &t)
	return t, err
}

// broadcast has send tell every coordinator at once. It returns when all have answered, and does
// not wait long for one that does not: its call goes on, and it is left out until that has ended,
// so that one coordinator that is paused delays no heartbeat to the others.
func (c *Client) broadcast(ctx context.Context, path string,
	send func(context.Context, Peer, *HeartbeatReply) error) ([]HeartbeatReply, error) {
	type heard struct {
		reply HeartbeatReply
		err   error
	}
	peers := c.claim(path)
	answers := make(chan heard, len(peers))
	for _, p := range peers {
		c.running.Go(func() {
			callCtx, cancel := context.WithTimeout(c.life, heartbeatTimeout)
			defer cancel()
			var h heard
			sent := time.Now()
			h.err = send(callCtx, p, &h.reply)
			h.reply.From, h.reply.Sent, h.reply.Received = p.ID, sent, time.Now()
			if h.err == nil && !c.heed(p, h.reply.Lineage) {
				h.reply.Leader = volume.NodeID{} // whom it follows leads nobody any more
			}
			c.release(path, p) // before the answer, so that the next call after it leaves nobody out
			answers <- h
		})
	}
	patience := time.NewTimer(heartbeatPatience)
	defer patience.Stop()
	var replies []HeartbeatReply
	errs := []error{errors.New("no coordinator took the heartbeat")}
	for waiting := len(peers); waiting > 0; waiting-- {
		select {
		case h := <-answers:
			if h.err != nil {
				errs = append(errs, h.err)
				continue
			}
			replies = append(replies, h.reply)
		case <-patience.C:
			waiting = 1
		case <-ctx.Done():
			waiting = 1
			errs = append(errs, ctx.Err())
		}
	}
	if len(replies) == 0 {
		return nil, errors.Join(errs...)
	}
	c.noteNamed(replies)
	return replies, nil
}

// heed notes of which restore a coordinator is. It returns false for one of before a restore.
func (c *Client) heed(p Peer, heard Lineage) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.follow.Judge(heard) {
	case HeardOutdated, HeardRival:
		c.before[p.ID] = true
		return false
	case HeardNewer:
		c.follow = heard
		c.leader.API = "" // it led those of before: it is asked only if it is one of the coordinators of now
	}
	delete(c.before, p.ID)
	return true
}

// claim returns the coordinators to which no call of this path is under way, and notes one for each.
func (c *Client) claim(path string) []Peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	var free []Peer
	for _, p := range c.peers {
		if key := path + p.API; !c.busy[key] {
			c.busy[key] = true
			free = append(free, p)
		}
	}
	return free
}

func (c *Client) release(path string, p Peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.busy, path+p.API)
}

// noteNamed takes the leader that most of the answers name: one coordinator that was cut off may
// name an old leader for long.
func (c *Client) noteNamed(replies []HeartbeatReply) {
	named := make(map[volume.NodeID]int)
	for _, r := range replies {
		if named[r.Leader]++; 2*named[r.Leader] > len(replies) {
			c.noteLeader(r.leader())
		}
	}
}

// next returns a coordinator that was not asked in this round, the leader first, and notes it as
// asked: one that a refusal has just named comes next.
func (c *Client) next(asked map[volume.NodeID]bool) (Peer, bool) {
	for _, p := range c.ordered() {
		if !asked[p.ID] {
			asked[p.ID] = true
			return p, true
		}
	}
	return Peer{}, false
}

// watch asks the coordinators in turn, the leader first, for something that may take WatchWait. It
// leaves a coordinator when another one is heard to lead: one that is paused would hold it longest.
func (c *Client) watch(ctx context.Context, path string, query url.Values, out any) error {
	asked := make(map[volume.NodeID]bool)
	var errs []error
	for p, ok := c.next(asked); ok && ctx.Err() == nil; p, ok = c.next(asked) {
		status, err := c.watchOne(ctx, p, path+"?"+query.Encode(), out)
		if err == nil {
			return nil
		}
		if status == http.StatusGone {
			return fmt.Errorf("coordinator %s: %w", p.API, ErrSuperseded)
		}
		errs = append(errs, err)
	}
	return fmt.Errorf("%w: %w", ErrNoLeader, errors.Join(append(errs, ctx.Err())...))
}

func (c *Client) watchOne(ctx context.Context, p Peer, path string, out any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, WatchWait+5*time.Second)
	var left sync.WaitGroup
	defer left.Wait()
	defer cancel()
	moved, _ := c.leads()
	left.Go(func() {
		for leader := p.ID; leader == p.ID; {
			select {
			case <-moved:
				moved, leader = c.leads()
			case <-ctx.Done():
				return
			}
		}
		cancel()
	})
	return c.call(ctx, http.MethodGet, p, path, nil, out)
}

// leads returns who leads, as far as is known, and a channel that is closed when that changes.
func (c *Client) leads() (<-chan struct{}, volume.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moved, c.leader.ID
}

// ordered returns the coordinators, the last known leader first, even if it is none of those that this node was told
// of.
func (c *Client) ordered() []Peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	peers := slices.DeleteFunc(slices.Clone(c.peers), func(p Peer) bool { return c.before[p.ID] })
	i := slices.IndexFunc(peers, func(p Peer) bool { return p.ID == c.leader.ID })
	switch {
	case i > 0:
		peers[0], peers[i] = peers[i], peers[0]
	case i < 0 && c.leader.API != "" && !c.before[c.leader.ID]:
		peers = slices.Insert(peers, 0, c.leader)
	}
	return peers
}

// noteLeader takes whom a coordinator names, or who answered as the leader. Whether the node at that address is the one
// that is named says its certificate, at each call.
func (c *Client) noteLeader(p Peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case p.ID.IsZero():
		return
	case p.ID == c.leader.ID:
		c.leader.API = cmp.Or(p.API, c.leader.API)
		return
	}
	c.leader = p
	close(c.moved)
	c.moved = make(chan struct{})
}
