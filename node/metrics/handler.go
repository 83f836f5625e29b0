package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-storage/holdfast/target"
)

// Target is a target that is shown; *target.Server is one.
type Target interface {
	TargetSource
	Trace(ctx context.Context, tsih uint16, sink func(target.TracedPDU) error) error
}

// The paths that Handle serves.
const (
	PathMetrics  = "/metrics"
	PathSessions = "/target/sessions"
	PathTrace    = "/target/trace"
)

// traceMost bounds one trace.
const traceMost = time.Hour

// traceGrace is what the last lines of a trace may take.
const traceGrace = 5 * time.Second

// Handle adds the paths of this package to a mux: HandleMetrics with the target's, and HandleTarget.
func Handle(mux *http.ServeMux, t Target) error {
	HandleTarget(mux, t)
	return HandleMetrics(mux, Sources{Collectors: []prometheus.Collector{NewTarget(t)}})
}

// HandleTarget adds what is to be seen of a target's sessions to a mux.
//
//	GET /target/sessions                      one line for each session, its TSIH first
//	GET /target/trace?tsih=N&seconds=S        the PDUs of one session, a line each, as they come
func HandleTarget(mux *http.ServeMux, t Target) {
	mux.HandleFunc("GET "+PathSessions, func(w http.ResponseWriter, _ *http.Request) { listSessions(w, t) })
	mux.HandleFunc("GET "+PathTrace, func(w http.ResponseWriter, r *http.Request) { trace(w, r, t) })
}

func listSessions(w http.ResponseWriter, t Target) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, s := range t.Stats().Sessions {
		kind := "normal"
		if s.Discovery {
			kind = "discovery"
		}
		fmt.Fprintf(w, "tsih=%d %s target=%s initiator=%s isid=%x portal=%s remote=%s "+
			"header_digest=%v data_digest=%v since=%s\n",
			s.TSIH, kind, s.Target, s.Initiator, s.ISID, s.Local, s.Remote, s.Digests.Header,
			s.Digests.Data, s.Since.UTC().Format(time.RFC3339))
	}
}

// trace streams until the time has passed, the session ends or the client goes away.
func trace(w http.ResponseWriter, r *http.Request, t Target) {
	tsih, err := strconv.ParseUint(r.FormValue("tsih"), 10, 16)
	if err != nil {
		http.Error(w, "tsih: want the number of a session as "+PathSessions+" shows it, as in tsih=1",
			http.StatusBadRequest)
		return
	}
	length := 10 * time.Second
	if text := r.FormValue("seconds"); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if length = time.Duration(n) * time.Second; err != nil || n == 0 || length > traceMost {
			http.Error(w, "seconds: want 1 to 3600", http.StatusBadRequest)
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), length)
	defer cancel()
	out := http.NewResponseController(w)
	// A client that does not read ends its trace, too.
	if err := out.SetWriteDeadline(time.Now().Add(length + traceGrace)); err != nil &&
		!errors.Is(err, http.ErrNotSupported) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	err = t.Trace(ctx, uint16(tsih), func(pdu target.TracedPDU) error {
		arrow := "<-"
		if pdu.Sent {
			arrow = "->"
		}
		if pdu.Missed > 0 {
			fmt.Fprintf(w, "… %d PDUs were too many to show\n", pdu.Missed)
		}
		if _, err := fmt.Fprintf(w, "%s %s %s\n", pdu.At.UTC().Format("15:04:05.000000"), arrow,
			pdu.Header.Describe()); err != nil {
			return err
		}
		return out.Flush()
	})
	switch {
	case errors.Is(err, target.ErrNoSession):
		http.Error(w, err.Error(), http.StatusNotFound)
	case errors.Is(err, target.ErrTraced):
		http.Error(w, err.Error(), http.StatusConflict)
	}
}
