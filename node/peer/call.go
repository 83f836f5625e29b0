package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// bodyBytesMax bounds an answer: an assignment of some thousand legs.
const bodyBytesMax = 64 << 20

// errorTextMax is how much of a refusal's text an error quotes.
const errorTextMax = 500

// call does one HTTP exchange with one coordinator, and with no other node that answers at its address. Body and out
// are JSON; body may be nil, or encoded already. The status is zero when no answer came. Every status but 200 is an
// error.
func (c *Client) call(ctx context.Context, method string, p Peer, path string, body, out any) (int, error) {
	var payload io.Reader
	if body != nil {
		raw, encoded := body.(json.RawMessage)
		if !encoded {
			var err error
			if raw, err = json.Marshal(body); err != nil {
				return 0, fmt.Errorf("encode %s: %w", path, err)
			}
		}
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.scheme+"://"+p.API+path, payload)
	if err != nil {
		return 0, fmt.Errorf("coordinator %s: %w", p.API, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := (&http.Client{Transport: c.reach.To(p.ID)}).Do(req)
	if err != nil {
		return 0, fmt.Errorf("coordinator %s: %w", p.API, err)
	}
	defer res.Body.Close()
	answer := io.LimitReader(res.Body, bodyBytesMax)
	if res.StatusCode == http.StatusOK {
		if err := json.NewDecoder(answer).Decode(out); err != nil {
			return 0, fmt.Errorf("coordinator %s: answer to %s: %w", p.API, req.URL.Path, err)
		}
		return res.StatusCode, nil
	}
	return res.StatusCode, c.refused(p, req.URL.Path, res.StatusCode, answer)
}

// refused makes an error of an answer that is not 200 and notes the leader that it may name.
func (c *Client) refused(p Peer, path string, status int, answer io.Reader) error {
	text, _ := io.ReadAll(io.LimitReader(answer, errorTextMax)) // what there is of it serves the message
	if status == http.StatusMisdirectedRequest {
		var reply HeartbeatReply
		if json.Unmarshal(text, &reply) == nil && c.heed(p, reply.Lineage) {
			c.noteLeader(reply.leader())
		}
	}
	return fmt.Errorf("coordinator %s: %s: %s: %s", p.API, path, http.StatusText(status),
		strings.TrimSpace(string(text)))
}
