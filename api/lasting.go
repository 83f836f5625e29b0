package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// allowedEvery is how often a stream is held against what its caller may do by then: a token that was revoked or
// expired, or a node that left the cluster, hears nothing after that time.
const allowedEvery = 2 * time.Second

// lasts reports whether an operation answers with a stream, which may go on for as long as its caller likes.
func lasts(op *huma.Operation) bool {
	ok := op.Responses[strconv.Itoa(http.StatusOK)]
	return ok != nil && ok.Content[streamType] != nil
}

// WhileAllowed returns a context for a call that lasts. It ends within some seconds once refused, which is asked again
// and again, gives a reason why its caller may not hear more; that is its cause. Call release, which waits.
func WhileAllowed(ctx context.Context, refused func() *Error) (held context.Context, release func()) {
	held, cancel := context.WithCancelCause(ctx)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		ticker := time.NewTicker(allowedEvery)
		defer ticker.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-ticker.C:
			}
			if refusal := refused(); refusal != nil {
				cancel(refusal)
				return
			}
		}
	}()
	return held, func() {
		cancel(nil)
		<-finished
	}
}

// revoked returns why the caller of a stream may not hear more of it, and otherwise the error that it ended with.
func revoked(ctx context.Context, err error) error {
	var refusal *Error
	if err != nil && errors.As(context.Cause(ctx), &refusal) {
		return refusal
	}
	return err
}
