package rescue_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-storage/holdfast/node/rescue"
	"github.com/holdfast-storage/holdfast/volume"
)

// eachLayout runs a test on the volumes of parity.
func eachLayout(t *testing.T, test func(*testing.T, *setWorld)) {
	for _, layout := range []volume.Layout{twoAndOne(), threeAndTwo()} {
		t.Run(layout.String(), func(t *testing.T) { test(t, newSetWorld(t, layout)) })
	}
}

// losses returns every choice of up to most legs of a layout, none too.
func losses(legs, most int) [][]byte {
	all := [][]byte{nil}
	for n := range byte(legs) {
		for _, before := range all {
			if len(before) < most {
				all = append(all, append(append([]byte{}, before...), n))
			}
		}
	}
	return all
}

// export exports and closes everything again.
func (w *setWorld) export(ctx context.Context, boot string, o rescue.Options, dirs ...string) (*rescue.Report, error) {
	w.t.Helper()
	if len(dirs) == 0 {
		dirs = w.dirs
	}
	c, err := rescue.Scan(w.t.Context(), dirs, boot)
	require.NoError(w.t, err)
	r, err := c.Export(ctx, o)
	require.NoError(w.t, c.Close())
	return r, err
}

// exported exports with everything as it should be, and the disks as they were.
func (w *setWorld) exported(boot string, o rescue.Options, dirs ...string) *rescue.Report {
	w.t.Helper()
	before := ""
	if !w.digested { // once is enough, and slow
		before = digest(w.t, w.dirs...)
	}
	r, err := w.export(w.t.Context(), boot, o, dirs...)
	require.NoError(w.t, err)
	requireContent(w.t, w.want, o.To)
	if !w.digested {
		require.Equal(w.t, before, digest(w.t, w.dirs...), "the disks are as they were")
	}
	w.digested = true
	require.Empty(w.t, r.Unreadable)
	require.Empty(w.t, r.Diverged)
	return r
}

func TestExportSet_volumeThatWasDetached(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *setWorld) {
		for _, lost := range losses(w.layout.Legs(), w.layout.Extra) {
			r := w.exported(nextBoot, w.options(), w.without(lost...)...)
			require.True(t, r.Done)
			require.Empty(t, r.Recovery.Forward)
			require.Empty(t, r.Recovery.TakenBack)
			require.Equal(t, len(lost) > 0, len(r.Decoded) > 0, "without %v", lost)
			for _, d := range r.Decoded {
				require.Len(t, d.From, w.layout.Data)
				require.Zero(t, d.Leg, "it is not there")
			}
		}
		tooMany := w.all()[:w.layout.Extra+1]
		_, err := w.export(t.Context(), nextBoot, w.options(), w.without(tooMany...)...)
		var refused *rescue.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Len(t, refused.Missing, len(tooMany))
	})
}

// TestExportSet_enginesAndNodesThatDied: what was acknowledged is in the journals, on whichever legs are left.
func TestExportSet_enginesAndNodesThatDied(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *setWorld) {
		stripe := w.layout.StripeBytes()
		g := w.attachSet(2, w.all()...)
		g.write(4096, w.bytes(5))
		g.write(5*stripe, w.bytes(int(stripe)/volume.BlockBytes))
		g.commit(w.all()...)
		g.write(8192, w.bytes(1)) // over what is committed and not freed
		g.write(2*stripe, w.bytes(int(stripe)/volume.BlockBytes))
		g.write(3*stripe+8192, w.bytes(1))
		g.die()
		for _, lost := range losses(w.layout.Legs(), w.layout.Extra) {
			r := w.exported(thisBoot, w.options(), w.without(lost...)...)
			require.NotEmpty(t, r.Recovery.Forward, "without %v", lost)
			require.Empty(t, r.Recovery.TakenBack, "without %v", lost)
		}
	})
}

// TestExportSet_writesThatWereUnderWay: with some of its records a write is taken back from all, whoever is left of
// those that have it; on all legs but those that are gone it counts.
func TestExportSet_writesThatWereUnderWay(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *setWorld) {
		stripe := w.layout.StripeBytes()
		data, check := byte(0), byte(w.layout.Data) // of stripe 0: the leg of chunk 0, that of the first parity
		g := w.attachSet(2, w.all()...)
		g.writeOn(0, w.bytes(1), data)
		g.writeOn(stripe*w.stripesPerTurn(), w.bytes(1), check)
		g.writeOn(10*stripe*w.stripesPerTurn(), w.bytes(int(stripe)/volume.BlockBytes), w.all()[1:]...)
		g.write(3<<20+8192, w.bytes(1)) // behind them
		g.die()
		r := w.exported(thisBoot, w.options())
		require.Equal(t, []string{"e2.1", "e2.2", "e2.3"}, r.Recovery.TakenBack)
		require.Equal(t, []string{"e2.4"}, r.Recovery.Forward)

		// Without the legs that lack it nobody knows that it was not acknowledged.
		o := w.options()
		r, err := w.export(t.Context(), thisBoot, o, w.without(check)...)
		require.NoError(t, err)
		require.Empty(t, r.Diverged)
		require.Contains(t, r.Recovery.TakenBack, "e2.3", "leg 0 is here, and lacks it")
		if w.layout.Extra == 1 {
			require.Contains(t, r.Recovery.Forward, "e2.1", "every leg that is left has it")
		} else {
			require.Contains(t, r.Recovery.TakenBack, "e2.1", "the other parity lacks it")
		}
	})
}

// stripesPerTurn is after how many stripes chunks lie on the same legs again.
func (w *setWorld) stripesPerTurn() int64 { return int64(w.layout.Legs()) }

// TestExportSet_commitOnOneLegOnly: what one leg has committed was staged on all, and counts.
func TestExportSet_commitOnOneLegOnly(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *setWorld) {
		for i, n := range w.all() {
			g := w.attachSet(volume.Epoch(2+i), w.all()...)
			g.write(0, w.bytes(1))
			g.write(int64(i)*w.layout.StripeBytes(), w.bytes(int(w.layout.StripeBytes())/volume.BlockBytes))
			g.write(8192, w.bytes(3))
			g.commit(n)
			g.die()
			r := w.exported(thisBoot, w.options())
			require.NotEmpty(t, r.Recovery.Forward)
			require.Empty(t, r.Recovery.TakenBack)
			w.settle(volume.Epoch(2 + i))
		}
	})
}

// settle carries everything forward on all legs, with sessions of the same epoch.
func (w *setWorld) settle(epoch volume.Epoch) {
	w.t.Helper()
	for _, n := range w.all() {
		store := w.open(n)
		l, err := store.OpenLeg(legID(n))
		require.NoError(w.t, err)
		s, err := l.Login(w.t.Context(), loginOf(epoch), func(string) {})
		require.NoError(w.t, err)
		upTo := volume.Transaction{Epoch: epoch, Number: 1 << 20}
		require.NoError(w.t, s.Commit(w.t.Context(), upTo))
		require.NoError(w.t, s.Free(w.t.Context(), upTo))
		require.NoError(w.t, store.Close())
	}
}

// TestExportSet_freedOnOneLegOnly: a leg that forgot what it committed speaks by another's commit.
func TestExportSet_freedOnOneLegOnly(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *setWorld) {
		g := w.attachSet(2, w.all()...)
		g.write(0, w.bytes(1))
		g.write(w.layout.StripeBytes(), w.bytes(int(w.layout.StripeBytes())/volume.BlockBytes))
		g.commit(w.all()...)
		g.free(0)
		g.die()
		r := w.exported(thisBoot, w.options())
		require.Empty(t, r.Recovery.TakenBack)
	})
}

// TestExportSet_builtOnAStripeThatIsTakenBack: an update that is on all of its own legs goes back with the stripe that
// it was made over, which a leg lacks that is none of its own.
func TestExportSet_builtOnAStripeThatIsTakenBack(t *testing.T) {
	w := newSetWorld(t, threeAndTwo())
	stripe := w.layout.StripeBytes()
	g := w.attachSet(2, w.all()...)
	believed := append([]byte{}, w.want...)
	whole := w.bytes(int(stripe) / volume.BlockBytes)
	g.writeOn(0, whole, 0, 1, 3, 4)                  // not on the leg of chunk 2
	copy(believed, whole)                            // as after a loss of that leg's cache
	g.writeOver(believed, 4096, w.bytes(1), 0, 3, 4) // chunk 0 and the parity
	g.write(stripe+4096, w.bytes(1))                 // beside it
	g.die()
	r := w.exported(thisBoot, w.options())
	require.Equal(t, []string{"e2.1", "e2.2"}, r.Recovery.TakenBack)
	require.Equal(t, []string{"e2.3"}, r.Recovery.Forward)
}

// TestExportSet_rot: a block that is not what was written last is made from its row, whatever leg it is on; with too
// few left it is unreadable.
func TestExportSet_rot(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *setWorld) {
		owner := w.geo.Slot(0, 0)
		w.damage(byte(owner), "data", 0)
		o := w.options()
		r := w.exported(nextBoot, o)
		require.Len(t, r.Decoded, 1)
		require.Equal(t, int64(0), r.Decoded[0].Off)
		require.Equal(t, int64(volume.BlockBytes), r.Decoded[0].Len)
		require.Equal(t, legID(byte(owner)), r.Decoded[0].Leg)
		require.NotContains(t, r.Decoded[0].From, legID(byte(owner)))
		require.Equal(t, int64(volume.BlockBytes), r.DecodedBytes())

		for n := 1; n <= w.layout.Extra; n++ {
			w.damage(byte(w.geo.Slot(0, n)), "data", 0)
		}
		o = w.options()
		r, err := w.export(t.Context(), nextBoot, o)
		var unreadable *rescue.UnreadableError
		require.ErrorAs(t, err, &unreadable)
		require.Contains(t, r.Unreadable, span(0, 1, volume.LegID{}))
		require.NoFileExists(t, o.To)

		o.Resume, o.AllowUnreadable = true, true
		_, err = w.export(t.Context(), nextBoot, o)
		require.NoError(t, err)
		for _, s := range r.Unreadable {
			clear(w.want[s.Off:][:s.Len])
		}
		requireContent(t, w.want, o.To)
	})
}

// TestExportSet_rotUnderTheJournal: an image in the journal makes a rotten block whole, a delta does not.
func TestExportSet_rotUnderTheJournal(t *testing.T) {
	w := newSetWorld(t, twoAndOne())
	g := w.attachSet(2, w.all()...)
	g.write(0, w.bytes(1)) // an image on slot 0, a delta on slot 2
	g.die()
	w.damage(0, "data", 0)
	o := w.options()
	o.Legs = []volume.LegID{legID(0), legID(2)}
	w.exported(nextBoot, o)

	w.damage(2, "data", 0)
	o = w.options()
	o.Legs = []volume.LegID{legID(0), legID(2)}
	r, err := w.export(t.Context(), nextBoot, o)
	var unreadable *rescue.UnreadableError
	require.ErrorAs(t, err, &unreadable)
	require.Equal(t, []rescue.Span{span(w.layout.Chunk, 1, volume.LegID{})}, r.Unreadable)
}

// TestExportSet_afterAPowerCut: all legs lost their cache, and the operator says which are used.
func TestExportSet_afterAPowerCut(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *setWorld) {
		g := w.attachSet(2, w.all()...)
		g.write(0, w.bytes(1))
		g.write(w.layout.StripeBytes(), w.bytes(int(w.layout.StripeBytes())/volume.BlockBytes))
		g.commit(0)
		g.die()
		_, err := w.export(t.Context(), nextBoot, w.options())
		var refused *rescue.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Len(t, refused.Options, 1+w.layout.Legs())
		require.Contains(t, refused.Options[1], "after a power cut")

		for _, lost := range losses(w.layout.Legs(), w.layout.Extra) {
			o := w.options()
			for _, n := range w.all() {
				if !contains(lost, n) {
					o.Legs = append(o.Legs, legID(n))
				}
			}
			r := w.exported(nextBoot, o) // all disks are here, those that are named are used
			require.True(t, r.Explicit)
			require.NotEmpty(t, r.Overruled)
			require.Empty(t, r.Recovery.TakenBack)
			for _, v := range r.Legs {
				require.Equal(t, !contains(lost, byte(v.Leg.UUID[15])), v.Used)
			}
		}
	})
}

// TestExportSet_lossyLegIsLeftOut: it lacks a write that was acknowledged, which must not be taken back for it.
func TestExportSet_lossyLegIsLeftOut(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *setWorld) {
		g := w.attachSet(2, w.all()...)
		p := w.bytes(1)
		g.writeOn(0, p, w.all()[:w.layout.Legs()-1]...)
		copy(w.want, p) // it was acknowledged, and the last leg lost it
		g.write(0+w.layout.StripeBytes()*w.stripesPerTurn(), w.bytes(1))
		g.die()
		last := byte(w.layout.Legs() - 1)
		w.damage(last, "data", 0) // marked, and not what was written: it lost its cache
		r := w.exported(thisBoot, w.options())
		require.Empty(t, r.Recovery.TakenBack)
		require.False(t, r.Legs[last].Used)
		require.Contains(t, r.Legs[last].Why, "its page cache is gone")

		// With it and without it are different volumes: that is refused, not guessed.
		o := w.options()
		for _, n := range w.all() {
			o.Legs = append(o.Legs, legID(n))
		}
		_, err := w.export(t.Context(), thisBoot, o)
		require.ErrorContains(t, err, "leave it out")
	})
}

// TestExportSet_legsThatDoNotFit: legs of different times are no code words, which shows where more than k are named.
func TestExportSet_legsThatDoNotFit(t *testing.T) {
	w := newSetWorld(t, twoAndOne())
	g := w.attachSet(2, 1, 2) // leg 0 was gone
	g.write(w.layout.Chunk, w.bytes(1))
	g.round()
	g.detach()
	w.exported(nextBoot, w.options())
	w.exported(nextBoot, w.options(), w.without(0)...)
	_, err := w.export(t.Context(), nextBoot, w.options(), w.without(1)...)
	var refused *rescue.RefusedError
	require.ErrorAs(t, err, &refused, "leg 0 is stale")

	o := w.options()
	o.Legs = []volume.LegID{legID(0), legID(1), legID(2)}
	w.damage(0, "data", 4096) // and a block of it is not good
	r, err := w.export(t.Context(), nextBoot, o)
	require.NoError(t, err, "leg 0 is stale where nothing was written since")
	require.Empty(t, r.Diverged)

	g = w.attachSet(3, 1, 2)
	g.write(0, w.bytes(1))
	g.round()
	g.detach()
	o.To += "2"
	r, err = w.export(t.Context(), nextBoot, o)
	var unreadable *rescue.UnreadableError
	require.ErrorAs(t, err, &unreadable)
	require.Equal(t, []rescue.Span{span(0, 1, legID(0)), span(w.layout.Chunk, 1, legID(1))}, r.Diverged)
}

// TestExportSet_interruptedAndResumed: also the report of what was decoded goes on.
func TestExportSet_interruptedAndResumed(t *testing.T) {
	eachLayout(t, func(t *testing.T, w *setWorld) {
		g := w.attachSet(2, w.all()...)
		g.write(1<<20, w.bytes(1))
		g.writeOn(0, w.bytes(1), 0)
		g.die()
		o := w.options()
		ctx, cancel := context.WithCancel(t.Context())
		o.Progress = func(done, total int64) {
			require.Equal(t, int64(testSize), total)
			if done == 2<<20 {
				cancel()
			}
		}
		dirs := w.without(1)
		r, err := w.export(ctx, thisBoot, o, dirs...)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, int64(2<<20), r.NextByte)
		decoded := r.DecodedBytes()
		require.NotZero(t, decoded)

		o.Progress, o.Resume = nil, true
		_, err = w.export(t.Context(), thisBoot, o)
		require.ErrorContains(t, err, "other evidence", "with another leg")

		o.Progress = func(done, _ int64) { require.Greater(t, done, int64(2<<20), "what is done is not done again") }
		r = w.exported(thisBoot, o, dirs...)
		whole := w.exported(thisBoot, w.options(), dirs...)
		require.Equal(t, whole.Decoded, r.Decoded)
		require.Greater(t, r.DecodedBytes(), decoded)
		require.Equal(t, []string{"e2.2"}, r.Recovery.TakenBack)
	})
}

// TestExportSet_twice: what one export took back with its legs is no evidence for the next.
func TestExportSet_twice(t *testing.T) {
	w := newSetWorld(t, twoAndOne())
	g := w.attachSet(2, w.all()...)
	g.writeOn(0, w.bytes(1), 0, 1)
	g.die()
	c := w.scan(thisBoot)
	for n := range 2 {
		o := w.options()
		o.To += fmt.Sprint(n)
		r, err := c.Export(t.Context(), o)
		require.NoError(t, err)
		requireContent(t, w.want, o.To)
		require.Equal(t, []string{"e2.1"}, r.Recovery.TakenBack)
	}
}

// k legs of parity=k+m with m ≥ k are not enough to know that the others did not go on.
func TestExportSet_asManyAbsentAsAreEnough(t *testing.T) {
	w := newSetWorld(t, chunked(volume.Parity(2, 2), 4096))
	w.exported(nextBoot, w.options(), w.without(3)...)
	g := w.attachSet(2, 2, 3) // two were gone, and left the list
	old := append([]byte{}, w.want...)
	g.write(0, w.bytes(1))
	g.round()
	g.die()
	_, err := w.export(t.Context(), nextBoot, w.options(), w.without(2, 3)...)
	var refused *rescue.RefusedError
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "2 are enough to have gone on")

	o := w.options()
	o.Legs = []volume.LegID{legID(0), legID(1)}
	w.want, old = old, w.want
	w.exported(nextBoot, o, w.without(2, 3)...)
	w.want = old
}
