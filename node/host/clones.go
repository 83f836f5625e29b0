package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-storage/holdfast/node/engine"
	"github.com/holdfast-storage/holdfast/node/pause"
	"github.com/holdfast-storage/holdfast/node/peer"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/volume"
)

const (
	cloneLook  = 300 * time.Millisecond // between two looks at the copies of a group
	cloneRetry = time.Second            // after a cut that failed, then twice as long, to cloneRest
	cloneRest  = 30 * time.Second
	copyAnswer = 10 * time.Second // that an engine may take to copy the rest; the guest waits for 5 s at most
)

// cloner has one group of clones filled and cut, as an order says. What it has begun is in the engines: a daemon that
// takes the place of another one finds it there.
type cloner struct {
	host  *Host
	order peer.CloneOrder
	end   context.CancelFunc
	ended chan struct{}

	// Of its goroutine alone:
	frozen  bool        // every guest that has an agent was frozen at the cut
	cut     volume.UUID // the latest
	fails   int         // cuts in a row
	notCut  time.Time   // before which no cut is tried
	unasked string      // the latest error that was logged
}

// fill has the groups of an assignment filled, and lets go of those that it does not name. The loop calls it.
func (h *Host) fill(orders []peer.CloneOrder) {
	for group, c := range h.cloners {
		still := slices.ContainsFunc(orders, func(o peer.CloneOrder) bool { return sameOrder(o, c.order) })
		if still {
			continue
		}
		c.end()
		select {
		case <-c.ended:
			delete(h.cloners, group)
		default: // it wakes the loop at its end
		}
	}
	for _, o := range orders {
		if h.cloners[o.Group] != nil {
			continue
		}
		ctx, end := context.WithCancel(h.life)
		c := &cloner{host: h, order: o, end: end, ended: make(chan struct{})}
		h.cloners[o.Group] = c
		h.jobs.Go(func() {
			c.run(ctx)
			close(c.ended)
			h.post(func() {})
		})
	}
	h.stopStray()
}

// stopStray ends copies of groups that nobody wants filled here any more: whose end an earlier daemon was to see to, or
// one that could not be reached. The loop calls it.
func (h *Host) stopStray() {
	if !h.core.assigned {
		return
	}
	for id, v := range h.core.volumes {
		e := h.engines[id]
		if e == nil || v.engine == nil || v.engine.Copy == nil || h.cloners[v.engine.Copy.Group] != nil || v.strayStop {
			continue
		}
		v.strayStop = true
		group := v.engine.Copy.Group
		h.jobs.Go(func() {
			p := pair{source: e}
			err := p.ask(h.life, engine.VerbCopyStop, engine.CopyCut{Group: group})
			pause.For(h.life, cloneRetry) // until the engine was looked at again
			h.post(func() { v.strayStop = false })
			if err != nil {
				h.options.Logger.Warn("copy onto a clone does not end", "volume", e.name, "error", err)
			}
		})
	}
}

// sameOrder reports whether two orders are of the same attachments.
func sameOrder(a, b peer.CloneOrder) bool {
	return a.Group == b.Group && a.Rate == b.Rate && slices.Equal(a.Fills, b.Fills)
}

// run works until its order is withdrawn, then ends the copies.
func (c *cloner) run(ctx context.Context) {
	log := c.host.options.Logger
	for pause.For(ctx, cloneLook) {
		err := c.step(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if text := err.Error(); text != c.unasked {
			c.unasked = text
			log.Warn("clones are not filled yet", "group", c.order.Group, "error", err)
		}
	}
	if c.host.life.Err() != nil {
		return // the next daemon goes on
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	_ = c.each(late, c.pairs(late), func(ctx context.Context, p pair) error {
		return p.ask(ctx, engine.VerbCopyStop, engine.CopyCut{Group: c.order.Group})
	})
}

// pair is a clone that is filled, and its source: the engines of both, as far as they run.
type pair struct {
	fill          peer.CloneFill
	source, clone *running
	url           string // of the clone's export
}

// pairs returns the engines that the order speaks of, of the very epochs that it names; fewer if some are not there.
func (c *cloner) pairs(ctx context.Context) []pair {
	found := make(chan []pair, 1)
	h := c.host
	h.post(func() {
		var all []pair
		for _, f := range c.order.Fills {
			p := pair{fill: f, source: h.engines[f.Source], clone: h.engines[f.Volume]}
			v := h.core.volumes[f.Volume]
			if p.source == nil || p.clone == nil || p.source.hello.Epoch != f.SourceEpoch ||
				p.clone.hello.Epoch != f.Epoch || v == nil || v.engine == nil {
				continue
			}
			if p.url = exportOf(v.engine).URL; p.url != "" {
				all = append(all, p)
			}
		}
		found <- all
	})
	select {
	case all := <-found:
		return all
	case <-ctx.Done():
		return nil
	}
}

// each does something for every pair at the same time, and returns all errors.
func (c *cloner) each(ctx context.Context, all []pair, do func(context.Context, pair) error) error {
	errs := make([]error, len(all))
	var doing sync.WaitGroup
	for i, p := range all {
		doing.Go(func() { errs[i] = do(ctx, p) })
	}
	doing.Wait()
	return errors.Join(errs...)
}

// ask has the source's engine do what a verb says about its copy.
func (p pair) ask(ctx context.Context, verb engine.Verb, cut engine.CopyCut) error {
	return p.request(ctx, engine.Request{Verb: verb, Cut: &cut})
}

func (p pair) request(ctx context.Context, r engine.Request) error {
	ctx, cancel := context.WithTimeout(ctx, copyAnswer)
	defer cancel()
	g, _, err := ask(ctx, p.source.dir, r)
	if err == nil && g.hello != p.source.hello {
		err = fmt.Errorf("another engine of %s answered", p.source.name)
	}
	return err
}

// step looks at all copies, and does what comes next.
func (c *cloner) step(ctx context.Context) error {
	all := c.pairs(ctx)
	if len(all) < len(c.order.Fills) {
		return errors.New("not every engine that is needed runs")
	}
	copies := make([]peer.CopyStatus, len(all))
	err := c.each(ctx, all, func(ctx context.Context, p pair) error {
		i := slices.IndexFunc(all, func(o pair) bool { return o.fill == p.fill })
		found, err := c.follow(ctx, p)
		copies[i] = found
		return err
	})
	if err != nil {
		return err
	}
	switch nextOf(copies) {
	case copiesTell:
		return c.tell(ctx, copies[0].Cut == c.cut && c.frozen)
	case copiesResume:
		return c.each(ctx, all, c.begin)
	case copiesRelease:
		return c.letGo(ctx, all)
	case copiesCut:
		if time.Now().Before(c.notCut) {
			return nil
		}
		return c.tryCut(ctx, all)
	}
	return nil
}

// follow returns how far a copy is, which it begins if there is none of this order.
func (c *cloner) follow(ctx context.Context, p pair) (peer.CopyStatus, error) {
	g, s, err := statusWithin(ctx, p.source.dir)
	switch {
	case err != nil:
		return peer.CopyStatus{}, err
	case g.hello != p.source.hello:
		return peer.CopyStatus{}, fmt.Errorf("another engine of %s answered", p.source.name)
	case s.Copy == nil:
		return peer.CopyStatus{}, c.begin(ctx, p)
	case s.Copy.Group != c.order.Group && c.host.fills(ctx, s.Copy.Group):
		return peer.CopyStatus{}, fmt.Errorf("volume %s is copied onto another clone first", p.source.name)
	case s.Copy.Group != c.order.Group || s.Copy.Volume != p.fill.Volume || s.Copy.Epoch != p.fill.Epoch:
		return peer.CopyStatus{}, p.ask(ctx, engine.VerbCopyStop, engine.CopyCut{Group: s.Copy.Group})
	case s.Copy.Lost:
		// What was under way when the connection was lost may still come about, so this attachment of the clone is
		// over: its fence keeps that out of the next one, which is filled anew.
		return peer.CopyStatus{}, errors.Join(fmt.Errorf("the engine of clone %s is given up: %s", p.fill.Name,
			s.Copy.Error), p.clone.end(ctx))
	}
	return *s.Copy, nil
}

// begin has a copy made, or one that is complete go on.
func (c *cloner) begin(ctx context.Context, p pair) error {
	return p.request(ctx, engine.Request{Verb: engine.VerbCopy, Copy: &engine.CopyOrder{Group: c.order.Group,
		Volume: p.fill.Volume, Epoch: p.fill.Epoch, URL: p.url, Rate: c.order.Rate}})
}

// fills reports whether a group is filled by this host.
func (h *Host) fills(ctx context.Context, group volume.UUID) bool {
	found := make(chan bool, 1)
	h.post(func() { found <- h.cloners[group] != nil })
	select {
	case is := <-found:
		return is
	case <-ctx.Done():
		return true
	}
}

// copiesNext is what comes next for the copies of a group.
type copiesNext int

const (
	copiesWait    copiesNext = iota // for those that have much to copy
	copiesRelease                   // a hold that nobody asked for: who did is gone
	copiesCut                       // all are near
	copiesResume                    // some were complete at a cut that failed for others
	copiesTell                      // all were complete at one cut
)

// nextOf decides what comes next.
//
// Invariant: copies that were all complete at one cut are never resumed: the coordinators may have been told so, by
// this daemon or by one before it.
func nextOf(copies []peer.CopyStatus) copiesNext {
	n := make(map[peer.CopyState]int)
	for _, s := range copies {
		n[s.State]++
	}
	one := !slices.ContainsFunc(copies, func(s peer.CopyStatus) bool { return s.Cut != copies[0].Cut })
	switch {
	case n[peer.CopyHeld] > 0:
		return copiesRelease
	case n[peer.CopyEnded] == len(copies) && one:
		return copiesTell
	case n[peer.CopyEnded] > 0:
		return copiesResume
	case n[peer.CopyNear] == len(copies):
		return copiesCut
	}
	return copiesWait
}

// letGo lets the guests go on whose changes are held back.
func (c *cloner) letGo(ctx context.Context, all []pair) error {
	return c.each(context.WithoutCancel(ctx), all, func(ctx context.Context, p pair) error {
		return p.ask(ctx, engine.VerbCopyRelease, engine.CopyCut{Group: c.order.Group})
	})
}

// tryCut cuts the group, and puts the next try off if that fails.
func (c *cloner) tryCut(ctx context.Context, all []pair) error {
	err := c.cutAll(ctx, all)
	if err == nil {
		c.fails = 0
		return nil
	}
	c.notCut = time.Now().Add(min(cloneRest, cloneRetry<<min(c.fails, 10)))
	c.fails++
	return fmt.Errorf("the clones cannot be cut now: %w", err)
}

// cutAll has the guests written back, their changes held, and the rest copied: then all clones hold what their sources
// held when the last of them was held. Whatever happens, the guests go on.
func (c *cloner) cutAll(ctx context.Context, all []pair) error {
	cut := engine.CopyCut{Group: c.order.Group, Cut: volume.NewUUID()}
	frozen, thaw := c.freeze(ctx)
	defer thaw()
	err := c.each(ctx, all, func(ctx context.Context, p pair) error { return p.ask(ctx, engine.VerbCopyHold, cut) })
	if err == nil {
		err = c.each(ctx, all, func(ctx context.Context, p pair) error { return p.ask(ctx, engine.VerbCopyEnd, cut) })
	}
	if err != nil {
		_ = c.letGo(ctx, all) // each hold ends by itself if this does not reach it
		return err
	}
	c.cut, c.frozen = cut.Cut, frozen
	return nil
}

// tell has the coordinators know that the group is cut. Whether guests were frozen only the daemon knows that did it.
func (c *cloner) tell(ctx context.Context, frozen bool) error {
	say := &raft.EndClones{Group: c.order.Group, Node: c.host.options.Node, Frozen: frozen}
	for _, f := range c.order.Fills {
		say.Clones = append(say.Clones, raft.CutClone{Volume: f.Volume, Epoch: f.Epoch, SourceEpoch: f.SourceEpoch})
	}
	result, err := c.host.options.Coordinators.Command(ctx, raft.Command{EndClones: say})
	if err == nil && result.Err != nil {
		err = result.Err
	}
	if err == nil {
		c.host.options.Logger.Info("clones cut", "group", c.order.Group, "clones", len(say.Clones), "frozen", frozen)
	}
	return err
}
