package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

// Options configures a Keeper.
type Options struct {
	Dir  string // for the blobs; made if it is missing
	Node volume.NodeID
	// Reach returns what reaches another node's HTTPS, with this node's certificate, and no other node.
	Reach  func(volume.NodeID) http.RoundTripper
	Scheme string // "https" if empty
	// Report has a word of this node committed. An error means that it is to be said again.
	Report func(context.Context, raft.BlobHeld) error
	// Changed is called when a blob can be used that could not be before, or the reverse, and now and then while one is
	// on its way. It must not block. Nil does nothing.
	Changed func()
	Logger  *slog.Logger // nil discards
}

// Keeper has the blobs on this node that it is to have. Its methods may be called from any goroutine.
type Keeper struct {
	options Options
	log     *slog.Logger
	store   *store
	uploads *uploads
	wake    chan struct{}

	mu       sync.Mutex // guards what follows; never held across I/O
	assigned bool
	adopting bool
	orders   []peer.ImageOrder
	about    map[volume.Digest]*about
	unwanted map[volume.Digest]time.Time // since when nobody wants a blob of which something is here
	current  task
	cancel   context.CancelFunc // of current
	seen     time.Time          // when Changed was called last about progress
	counts   Counts
}

// about is what the keeper remembers of a blob that is ordered.
type about struct {
	why      string // why it was lost
	state    string // as in peer.ImageStatus, of what is being done
	done     int64
	failure  string // of the last attempt
	failures int    // in a row
	stuck    bool   // it is the node's own fault, or has been so for long
	retry    time.Time
	doubted  time.Time                   // when another node doubted it last
	avoid    map[volume.NodeID]time.Time // who gave what was wrong: not before
	poor     map[volume.NodeID]poor      // who gave too little, or nothing
	lonely   bool                        // take it from one node alone, so that it is known who gave what
	givers   []peer.Peer                 // who gave what there is of it
	earlier  bool                        // a part of that is from a daemon before, so that nobody knows who gave it
	gained   bool                        // more of it came in this attempt
}

// Counts are what the keeper did since it was made.
type Counts struct {
	PulledBytes int64
	Pulled      int // blobs that came whole
	Wrong       int // files, and what came, that were not what they should be
	Unreadable  int // files that the disk did not give
}

// The pauses between failed attempts.
const (
	retryFirst = 250 * time.Millisecond
	retryMax   = 15 * time.Second
	stuckSlice = 5 * time.Minute
	stuckAfter = 6                // failures in a row, another node had better have the blob
	tickEvery  = 30 * time.Second // what no event tells of is looked for so often
	tellEvery  = 500 * time.Millisecond
	avoidFor   = 2 * time.Minute
	doubtEvery = 10 * time.Second // of one blob
	checkPace  = 64 << 20         // bytes a second that are read in no hurry
)

// New returns a keeper of the blobs in a directory. It does nothing before Run.
func New(o Options) (*Keeper, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Scheme == "" {
		o.Scheme = "https"
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	s, err := openStore(o.Dir)
	if err != nil {
		return nil, err
	}
	k := &Keeper{options: o, log: o.Logger, store: s, wake: make(chan struct{}, 1),
		about: make(map[volume.Digest]*about), unwanted: make(map[volume.Digest]time.Time)}
	k.uploads = &uploads{store: s, open: map[string]*upload{}, keep: k.keep}
	return k, nil
}

// Assign takes in which blobs the node is to have. It does not block.
func (k *Keeper) Assign(a peer.Assignment) {
	if !a.Registered {
		return // it says nothing about blobs
	}
	k.mu.Lock()
	k.assigned, k.adopting, k.orders = true, a.Adopt, slices.Clone(a.Images)
	before := k.about
	k.about = make(map[volume.Digest]*about, len(a.Images))
	for _, o := range a.Images {
		b := before[o.Digest]
		if b == nil {
			b = &about{}
		}
		k.about[o.Digest] = b
	}
	k.mu.Unlock()
	k.nudge()
}

// nudge has Run look again.
func (k *Keeper) nudge() {
	select {
	case k.wake <- struct{}{}:
	default: // it is about to look
	}
}

// Run keeps the blobs until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	defer k.uploads.expire(time.Time{})
	for ctx.Err() == nil {
		k.uploads.expire(time.Now().Add(-uploadIdle))
		k.noteUnwanted()
		if t := k.begin(ctx); t.step != stepNone {
			k.work(t)
			continue
		}
		wait := time.NewTimer(k.pause())
		select {
		case <-ctx.Done():
		case <-k.wake:
		case <-wait.C:
		}
		wait.Stop()
	}
}

// running is a task with its context, which ends when something more urgent comes.
type running struct {
	task
	ctx context.Context
	end context.CancelFunc
}

// begin chooses the next task.
func (k *Keeper) begin(ctx context.Context) running {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.next(time.Now())
	k.current = t
	if t.step == stepNone {
		return running{task: t}
	}
	taskCtx, cancel := context.WithCancel(ctx)
	k.cancel = cancel
	if a := k.about[t.order.Digest]; a != nil {
		a.state = map[step]string{stepVerify: "verifying", stepPull: "pulling"}[t.step]
		if t.step == stepVerify {
			a.done = 0
		}
	}
	return running{t, taskCtx, cancel}
}

// next returns what is most urgent. The caller holds mu.
func (k *Keeper) next(now time.Time) task {
	all := make([]standing, 0, len(k.orders))
	for _, o := range k.orders {
		a := k.about[o.Digest]
		b, here := k.store.state(o.Digest)
		all = append(all, standing{order: o, here: here, verified: b.verified, retry: a.retry,
			checked: k.store.checked.last(o.Digest)})
	}
	unwanted := k.unwanted
	if !k.assigned || k.adopting {
		unwanted = nil // what they want is not known, or not all of it
	}
	return decide(all, unwanted, now)
}

// pause returns how long nothing is due, at most.
func (k *Keeper) pause() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	wait, now := tickEvery, time.Now()
	for _, a := range k.about { // all of them, so the order of the map does not matter
		if left := a.retry.Sub(now); left > 0 {
			wait = min(wait, left)
		}
	}
	return wait
}

// work does a task, unless something more urgent comes up, and notes what came of it.
func (k *Keeper) work(r running) {
	defer r.end()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		k.yield(r)
	}()
	err := k.do(r.ctx, r.task)
	interrupted := r.ctx.Err() != nil
	r.end()
	<-watched
	k.mu.Lock()
	k.current = task{}
	if a := k.about[r.order.Digest]; a != nil {
		a.ended(err, interrupted)
	}
	k.mu.Unlock()
	if err != nil && !interrupted {
		k.log.Warn("an image is not in order and is tried again", "step", string(r.step),
			"digest", string(r.order.Digest), "error", err)
	}
	k.options.Changed()
	k.nudge() // what yield took for itself
}

// ended notes the end of a task of a blob.
func (a *about) ended(err error, interrupted bool) {
	a.state = ""
	defer func() { a.gained = false }()
	switch {
	case interrupted:
	case err == nil:
		a.failure, a.failures, a.stuck, a.retry, a.done = "", 0, false, time.Time{}, 0
	default:
		if a.gained {
			a.failures = 0 // it goes on, however often it breaks off
		}
		a.failure = err.Error()
		a.retry = time.Now().Add(min(retryMax, retryFirst<<min(a.failures, 10)))
		a.failures++
		a.stuck = a.failures >= stuckAfter || errors.Is(err, ErrNoRoom) || errors.As(err, new(*fs.PathError))
	}
}

// untilRetry returns how long no blob is to be tried again. What failed often does not end another task before the
// slice of that is over: to go on with half a blob it is read, and that must not be all that is ever done.
func (k *Keeper) untilRetry(slice time.Time) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	wait, now := stuckSlice, time.Now()
	for _, a := range k.about { // all of them, so the order of the map does not matter
		at := a.retry
		if a.stuck && at.Before(slice) {
			at = slice
		}
		if left := at.Sub(now); left > 0 {
			wait = min(wait, left)
		}
	}
	return wait
}

// yield ends a task when something more urgent is due.
func (k *Keeper) yield(r running) {
	slice := time.Now().Add(stuckSlice)
	for {
		again := time.NewTimer(k.untilRetry(slice))
		select {
		case <-r.ctx.Done():
			again.Stop()
			return
		case <-k.wake:
		case <-again.C:
		}
		again.Stop()
		k.mu.Lock()
		t := k.next(time.Now()) // what r is about is due still, so another one matters more
		_, ordered := k.about[r.order.Digest]
		k.mu.Unlock()
		other := t.order.Digest != r.order.Digest && t.step != stepNone
		if takesLong(r.step) && (other || !ordered) {
			r.end()
			return
		}
	}
}

func takesLong(s step) bool { return s == stepPull || s == stepVerify || s == stepCheck }

// do does a task.
func (k *Keeper) do(ctx context.Context, t task) error {
	d := t.order.Digest
	switch t.step {
	case stepVerify:
		return k.judged(d, k.store.verify(ctx, d, func(n int) { k.progress(d, int64(n)) }))
	case stepCheck:
		return k.judged(d, k.store.verify(ctx, d, pacer(ctx, checkPace)))
	case stepPull:
		return k.pull(ctx, t.order)
	case stepHeld, stepLost:
		return k.tell(ctx, t)
	case stepRemove:
		k.log.Info("an image that nobody wants here is removed", "digest", string(d))
		err := k.store.remove(d, func() bool { return k.wantedSince(d) })
		k.mu.Lock()
		delete(k.unwanted, d) // what could not be removed is not tried again at once
		k.mu.Unlock()
		return err
	}
	return fmt.Errorf("step %q is unknown", t.step)
}

// judged notes that a blob was wrong, or unreadable: then it is not an error that is tried again, but one to tell of.
func (k *Keeper) judged(d volume.Digest, err error) error {
	wrong, unreadable := errors.Is(err, ErrWrong), errors.Is(err, ErrUnreadable)
	if !wrong && !unreadable {
		return err
	}
	k.log.Error("an image's file is not used, and is fetched anew", "digest", string(d), "error", err)
	k.mu.Lock()
	defer k.mu.Unlock()
	if wrong {
		k.counts.Wrong++
	} else {
		k.counts.Unreadable++
	}
	if a := k.about[d]; a != nil {
		a.why = err.Error()
	}
	return nil
}

// tellTimeout is how long the coordinators have to answer.
const tellTimeout = 10 * time.Second

// tell says to the coordinators whether a blob is here.
func (k *Keeper) tell(ctx context.Context, t task) error {
	k.mu.Lock()
	word := raft.BlobHeld{Digest: t.order.Digest, Node: k.options.Node, Has: t.step == stepHeld}
	if a := k.about[word.Digest]; a != nil && !word.Has {
		word.Reason = a.why
		if word.Reason == "" {
			word.Reason = "its file is gone"
		}
	}
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	if err := k.options.Report(ctx, word); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.orders {
		if k.orders[i].Digest == word.Digest {
			k.orders[i].Has = word.Has // until they say it themselves
		}
	}
	if a := k.about[word.Digest]; a != nil {
		a.why = ""
	}
	return nil
}

// progress notes that more of a blob was read or came.
func (k *Keeper) progress(d volume.Digest, more int64) {
	k.mu.Lock()
	if a := k.about[d]; a != nil {
		a.done += more
	}
	now := time.Now()
	tell := now.Sub(k.seen) >= tellEvery
	if tell {
		k.seen = now
	}
	k.mu.Unlock()
	if tell {
		k.options.Changed()
	}
}

// noteUnwanted notes since when nobody wants what is here.
func (k *Keeper) noteUnwanted() {
	here := append(k.store.digests(), k.store.leftovers()...)
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	since := make(map[volume.Digest]time.Time)
	for _, d := range here {
		if k.about[d] != nil || !k.assigned {
			continue
		}
		if since[d] = now; !k.unwanted[d].IsZero() {
			since[d] = k.unwanted[d]
		}
	}
	k.unwanted = since
}

// keep has content that was sent anew stay as long as other content that nobody wants yet: who sent it has yet to make
// it a version.
func (k *Keeper) keep(d volume.Digest) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.unwanted[d]; known {
		k.unwanted[d] = time.Now()
	}
}

// wantedSince reports whether what was to be removed is not to be any more.
func (k *Keeper) wantedSince(d volume.Digest) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	since, unwanted := k.unwanted[d]
	return k.about[d] != nil || !unwanted || time.Since(since) < removeAfter
}

// pacer returns a function that waits so that at most so many bytes a second are read.
func pacer(ctx context.Context, bytesPerSecond int64) func(int) {
	began, read := time.Now(), int64(0)
	return func(n int) {
		read += int64(n)
		ahead := time.Duration(read*int64(time.Second)/bytesPerSecond) - time.Since(began)
		if ahead <= 0 {
			return
		}
		wait := time.NewTimer(ahead)
		defer wait.Stop()
		select {
		case <-ctx.Done():
		case <-wait.C:
		}
	}
}
