package sim

import (
	"fmt"

	"github.com/holdfast-storage/holdfast/mirror"
)

// trace writes down a step of an engine.
func (h *host) trace(ev *mirror.Event, effects []mirror.Effect) {
	if h.w.opts.Trace == nil && !h.w.trace.on {
		return
	}
	if ev.Kind == mirror.EventTick && len(effects) == 0 || ev.Kind == mirror.EventPong && ev.Err == nil {
		return
	}
	h.w.logf("%s e%s event %d leg %d req %+v %s %v err %v", h.name, h.epoch, ev.Kind, ev.Leg, ev.Req,
		ev.Op, ev.Range, ev.Err)
	for i := range effects {
		x := &effects[i]
		if x.Kind == mirror.EffectRelease || x.Kind == mirror.EffectPing {
			continue
		}
		text := fmt.Sprintf("%s    effect %d leg %d req %+v %s %v", h.name, x.Kind, x.Leg, x.Req, x.Op, x.Range)
		if c := x.Command; c != nil {
			text += fmt.Sprintf(" %s cfg %s gen %d range %v cfgver %s", c.Kind, c.Config.CfgVer,
				c.Generation, c.Range, c.CfgVer)
		}
		if x.Kind == mirror.EffectLeg {
			text += fmt.Sprintf(" %s -> %s", x.From, x.To)
		}
		h.w.logf("%s %s", text, x.Text)
	}
}
