package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// endless has a stream that goes on until its caller is gone.
type endless struct {
	Service
	first []Event // what it says at once
}

func (e endless) Events(ctx context.Context, _ uint64, _ bool, emit func(Event) error) error {
	for _, event := range e.first {
		if err := emit(event); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// A stream ends soon after its token was revoked, whether something was said on it or not. One whose caller may go on
// does so.
func TestStream_endsWithTheRightToIt(t *testing.T) {
	for _, first := range [][]Event{nil, {{Seq: 1}}} {
		synctest.Test(t, func(t *testing.T) {
			var gone atomic.Bool
			var asked atomic.Int32
			h := NewGuardedHandler(endless{first: first}, func(c Caller) (Role, *Error) {
				require.Equal(t, "x", c.Token)
				asked.Add(1)
				if gone.Load() {
					return RoleNone, Unauthorized("the token was revoked")
				}
				return RoleViewer, nil
			})
			ctx := WithCaller(t.Context(), Caller{Kind: CallerToken, Token: "x"})
			w := httptest.NewRecorder()
			ended := make(chan time.Time, 1)
			go func() {
				h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events?follow=true", nil))
				ended <- time.Now()
			}()
			time.Sleep(time.Minute)
			synctest.Wait()
			require.Empty(t, ended)
			require.Greater(t, asked.Load(), int32(20))
			gone.Store(true)
			began := time.Now()
			require.LessOrEqual(t, (<-ended).Sub(began), allowedEvery)
			if first == nil {
				require.Equal(t, http.StatusUnauthorized, w.Code)
				require.Contains(t, w.Body.String(), "revoked")
			} else {
				require.Equal(t, http.StatusOK, w.Code, "the client asks again, and hears why")
				require.NotContains(t, w.Body.String(), "revoked")
			}
			asked.Store(0)
			time.Sleep(time.Minute)
			require.Zero(t, asked.Load(), "nothing of it goes on")
		})
	}
}

// Watching work ends with the right to watch; that is not said to be the work's end.
func TestStream_ofWorkDoesNotFailWithTheRightToIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := false
		h := NewGuardedHandler(endlessWork{}, func(Caller) (Role, *Error) {
			if asked {
				return RoleViewer, nil
			}
			asked = true
			return RoleOperator, nil
		})
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/nodes/n1/drain", nil)
		h.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code)
		require.Contains(t, w.Body.String(), OperationRunning)
		require.NotContains(t, w.Body.String(), OperationFailed)
	})
}

type endlessWork struct{ Service }

func (endlessWork) DrainNode(ctx context.Context, _ string, _ Wait, emit func(Operation) error) error {
	if err := emit(Operation{State: OperationRunning}); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}
