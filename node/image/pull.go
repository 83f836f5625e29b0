package image

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/volume"
)

// stallTimeout is how long a node may be silent that gives a blob.
const stallTimeout = 10 * time.Second

// errStalled means that a node gave nothing more.
var errStalled = fmt.Errorf("nothing came for %s", stallTimeout)

// pull gets a blob from the nodes that have it: one after the other, each from where the one before left off, until
// all of it is here. Then it is held against its digest. What came before an interruption is kept.
func (k *Keeper) pull(ctx context.Context, o peer.ImageOrder) error {
	p, err := k.store.resume(o.Digest, o.SizeBytes)
	if err != nil {
		return err
	}
	closed := false
	defer func() {
		if !closed {
			_ = p.close() // what was not written is not counted the next time either
		}
	}()
	if err := k.store.makeRoom(o.Digest, o.SizeBytes-p.size); err != nil {
		return err
	}
	k.reached(o.Digest, p.size)
	k.resumed(o.Digest, p.size)
	if err := k.gather(ctx, o, p); err != nil {
		return err
	}
	if p.digest() == o.Digest {
		closed = true
		if err := k.store.install(p.file, o.Digest); err != nil {
			return err
		}
		k.pulled(o, p)
		return nil
	}
	err = errors.Join(ErrWrong, p.restart())
	return fmt.Errorf("%w: what came from %s is thrown away", err, k.blame(ctx, o))
}

// gather fills a partial from the holders. One that gives too little is left for the next one.
func (k *Keeper) gather(ctx context.Context, o peer.ImageOrder, p *partial) error {
	var failed []error
	for _, from := range k.holders(o) {
		if p.size == o.SizeBytes {
			break
		}
		if p.size > 0 && k.beginsAnew(o.Digest, from) {
			if err := p.restart(); err != nil {
				return err
			}
			k.resumed(o.Digest, 0)
		}
		before := p.size
		err := k.fetch(ctx, from, o, p)
		if p.size > before {
			k.gave(o.Digest, from)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errOwnDisk) {
			return err
		}
		if err != nil {
			k.strike(o.Digest, from)
			failed = append(failed, fmt.Errorf("from %s: %w", from.API, err))
		}
	}
	if p.size < o.SizeBytes {
		if len(failed) == 0 {
			failed = append(failed, errors.New("no node that has it gives it"))
		}
		return errors.Join(failed...)
	}
	return nil
}

// resumed notes how much of a blob there is when it is gone on with. What nobody is known to have given is from a
// daemon before.
func (k *Keeper) resumed(d volume.Digest, bytes int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch a := k.about[d]; {
	case a == nil:
	case bytes == 0:
		a.givers, a.earlier = nil, false
	case len(a.givers) == 0:
		a.earlier = true
	}
}

// gave notes who gave a part of a blob.
func (k *Keeper) gave(d volume.Digest, from peer.Peer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a := k.about[d]; a != nil {
		a.gained = true
		if !slices.ContainsFunc(a.givers, func(p peer.Peer) bool { return p.ID == from.ID }) {
			a.givers = append(a.givers, from)
		}
	}
}

// beginsAnew reports whether what there is of a blob has to go before a node gives of it: it was wrong once, so it is
// taken from one node alone.
func (k *Keeper) beginsAnew(d volume.Digest, from peer.Peer) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.about[d]
	return a != nil && a.lonely && (a.earlier ||
		slices.ContainsFunc(a.givers, func(p peer.Peer) bool { return p.ID != from.ID }))
}

// holders returns whom to ask, in an order of this node's own, so that not all begin with the same one; who gave too
// little comes last.
func (k *Keeper) holders(o peer.ImageOrder) []peer.Peer {
	list := slices.Clone(o.From)
	if len(list) > 1 {
		h := fnv.New32a()
		_, _ = h.Write(k.options.Node.UUID[:]) // a hash takes everything
		first := int(h.Sum32() % uint32(len(list)))
		list = slices.Concat(list[first:], list[:first])
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.about[o.Digest]
	if a == nil {
		return list
	}
	now := time.Now()
	list = slices.DeleteFunc(list, func(p peer.Peer) bool { return now.Before(a.avoid[p.ID]) })
	good, rest := make([]peer.Peer, 0, len(list)), []peer.Peer(nil)
	for _, p := range list {
		if now.Before(a.poor[p.ID].until) {
			rest = append(rest, p)
			continue
		}
		good = append(good, p)
	}
	return append(good, rest...)
}

// fetch appends what one node gives, from where the partial ends.
func (k *Keeper) fetch(ctx context.Context, from peer.Peer, o peer.ImageOrder, p *partial) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	defer stall.Stop()
	address := k.options.Scheme + "://" + from.API + peer.PathImage + "?" +
		url.Values{"digest": {string(o.Digest)}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", p.size))
	res, err := (&http.Client{Transport: k.options.Reach(from.ID)}).Do(req)
	if err != nil {
		return causeOf(ctx, err)
	}
	defer res.Body.Close()
	want := fmt.Sprintf("bytes %d-%d/%d", p.size, o.SizeBytes-1, o.SizeBytes)
	if res.StatusCode != http.StatusPartialContent || res.Header.Get("Content-Range") != want {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 300)) // what there is of it serves the message
		return fmt.Errorf("it answers %s, range %q, and not %q: %s", res.Status, res.Header.Get("Content-Range"), want,
			strings.TrimSpace(string(text)))
	}
	body, pace := io.LimitReader(res.Body, o.SizeBytes-p.size), giving{}
	for buffer := make([]byte, copyBytes); p.size < o.SizeBytes; {
		began := time.Now()
		n, err := body.Read(buffer)
		waited := time.Since(began)
		stall.Reset(stallTimeout)
		if n > 0 {
			if _, err := p.Write(buffer[:n]); err != nil {
				return fmt.Errorf("%w: %w", errOwnDisk, err)
			}
			k.reached(o.Digest, p.size)
			k.count(int64(n))
		}
		switch {
		case p.size == o.SizeBytes:
		case err != nil:
			return causeOf(ctx, err)
		case pace.slow(n, waited) && k.another(o.Digest, from):
			return errSlow
		}
	}
	return nil
}

func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		return cause
	}
	return err
}

// reached notes how much of a blob is here.
func (k *Keeper) reached(d volume.Digest, bytes int64) {
	k.mu.Lock()
	more := int64(0)
	if a := k.about[d]; a != nil {
		more = bytes - a.done
	}
	k.mu.Unlock()
	k.progress(d, more)
}

func (k *Keeper) count(bytes int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.counts.PulledBytes += bytes
}

// pulled notes that a blob came as a whole.
func (k *Keeper) pulled(o peer.ImageOrder, p *partial) {
	k.log.Info("image pulled", "digest", string(o.Digest), "bytes", p.size)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.counts.Pulled++
	if a := k.about[o.Digest]; a != nil {
		a.lonely, a.avoid, a.poor, a.givers, a.earlier = false, nil, nil, nil, false
	}
}

// blame finds out who gave what was wrong, and names it. One node that gave all of it is told to look at its file, and
// is not asked for a while. Of several, or with a part from before, nobody can tell: from now on all of the blob is
// taken from one.
func (k *Keeper) blame(ctx context.Context, o peer.ImageOrder) string {
	k.mu.Lock()
	k.counts.Wrong++
	a := k.about[o.Digest]
	if a == nil {
		a = &about{}
	}
	givers, earlier := a.givers, a.earlier
	a.lonely, a.givers, a.earlier, a.gained = true, nil, false, false
	if len(givers) == 1 && !earlier {
		if a.avoid == nil {
			a.avoid = make(map[volume.NodeID]time.Time)
		}
		a.avoid[givers[0].ID] = time.Now().Add(avoidFor)
	}
	k.mu.Unlock()
	var names []string
	for _, g := range givers {
		names = append(names, g.API)
		if err := k.accuse(ctx, g, o.Digest); err != nil {
			k.log.Warn("a node that gave wrong content was not told", "node", g.API, "error", err)
		}
	}
	if earlier {
		names = append(names, "an earlier attempt")
	}
	return strings.Join(names, ", ")
}

// accuse has a node look at its file.
func (k *Keeper) accuse(ctx context.Context, whom peer.Peer, d volume.Digest) error {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	address := k.options.Scheme + "://" + whom.API + peer.PathImageDoubt + "?" +
		url.Values{"digest": {string(d)}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: k.options.Reach(whom.ID)}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("it answers %s", res.Status)
	}
	return nil
}
