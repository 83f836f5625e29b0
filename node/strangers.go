package node

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/holdfast-storage/holdfast/api"
)

const (
	// strangerPatience is how long the body of a call may take to come.
	strangerPatience = 10 * time.Second
	// strangersMax bounds how many calls may be about to send one, those with a token and those that join
	// each.
	strangersMax = 64
	// strangerBytesMax bounds the body of a call that shows an API token, and joinBytesMax one that joins.
	strangerBytesMax = 1 << 20
	joinBytesMax     = 16 << 10
)

// strangers takes in the bodies of callers that have no certificate. Anybody can be one, also who shows a
// token: the leading coordinator says whether it is any good, and hears of it only with the whole call. So
// until then they get little time and memory, and never all of it.
type strangers struct {
	joining  chan struct{} // a place for each call that joins, until it is answered
	sending  chan struct{} // a place for each other call, until its body is here
	patience time.Duration
}

func newStrangers() *strangers {
	return &strangers{joining: make(chan struct{}, strangersMax), sending: make(chan struct{}, strangersMax),
		patience: strangerPatience}
}

// receive returns the call with its whole body, and what to call once it is answered; or why it is refused.
func (s *strangers) receive(w http.ResponseWriter, r *http.Request) (*http.Request, func(), *api.Error) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, func() {}, nil
	}
	places, most, joins := s.sending, int64(strangerBytesMax), r.URL.Path == api.PathJoin
	if joins {
		places, most = s.joining, joinBytesMax
	}
	select {
	case places <- struct{}{}:
	default:
		w.Header().Set("Retry-After", "1")
		return nil, nil, api.Errorf(api.CodeNoLeader, "", "ask again in a moment, or ask another node",
			"this node has too many calls at once from callers without a certificate; nothing was done")
	}
	leave := func() { <-places }
	body, refusal := s.read(w, r, most)
	if refusal != nil {
		leave()
		return nil, nil, refusal
	}
	if !joins { // it may be a stream, and those last
		leave()
		leave = func() {}
	}
	whole := r.Clone(r.Context())
	whole.Body, whole.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return whole, leave, nil
}

// read reads a body. After a refusal the deadline stays: the server reads what is left before it closes.
func (s *strangers) read(w http.ResponseWriter, r *http.Request, most int64) ([]byte, *api.Error) {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(s.patience)); err != nil {
		return nil, api.Errorf(api.CodeInternal, "", "", "bound the request's body in time: %s", err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, api.Errorf(api.CodeInvalid, "", "send it at once", "the request's body did not come within %s",
			s.patience)
	}
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "", "", "request body: %s", err)
	}
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		return nil, api.Errorf(api.CodeInternal, "", "", "after the request's body: %s", err)
	}
	return body, nil
}
