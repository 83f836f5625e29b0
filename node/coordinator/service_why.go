package coordinator

import (
	"context"
	"time"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/raft"
	"github.com/holdfast-storage/holdfast/raft/control"
)

// Why explains an object. Without a leader it is what this coordinator hears itself.
func (s service) Why(_ context.Context, object string) (api.Why, error) {
	return reading(s, func(v *control.View) (api.Why, error) {
		v.Leaderless = !s.raft.Leading()
		reason, err := control.Why(v, object)
		if err != nil {
			return api.Why{}, api.Errorf(api.CodeNotFound, object,
				"holdfast volume list, domain list and node list show what there is", "%s", err)
		}
		return showReason(reason), nil
	})
}

func showReason(r control.Reason) api.Why {
	out := api.Why{Object: r.Object, Status: api.Status(r.Status), Says: r.Says, Progress: r.Progress,
		Next: r.Next, Do: r.Do}
	if !r.Since.IsZero() {
		since := r.Since.Round(0) // without the monotonic reading
		out.Since = &since
	}
	out.Timers = showTimers(r.Timers)
	if r.Last != nil {
		e := showEvent(*r.Last)
		out.Last = &e
	}
	for _, b := range r.Because {
		out.Because = append(out.Because, showReason(b))
	}
	return out
}

func showTimers(timers []control.Timer) []api.WhyTimer {
	var out []api.WhyTimer
	for _, t := range timers {
		out = append(out, api.WhyTimer{What: t.What,
			LeftSeconds: t.Left.Round(100 * time.Millisecond).Seconds(), Then: t.Then})
	}
	return out
}

func showEvent(e raft.Event) api.Event {
	return api.Event{Seq: e.Seq, Time: e.At, Severity: e.Severity, Object: e.Object, Kind: e.Kind,
		Message: e.Message}
}
