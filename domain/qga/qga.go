// Package qga speaks to QEMU's guest agent, a program in a guest, over the unix socket that QEMU makes of its channel.
//
//	connect ── 0xFF, guest-sync-delimited N ──▶ … 0xFF, N ── one command ──▶ answer ── close
//
// The channel is one stream for all who ever connect: what an earlier one asked for may be answered to a later one. So
// each call asks for a number of its own first, and reads on until it comes.
package qga

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

// answerBytesMax bounds what is read for one call: it comes from a guest, which nobody trusts.
const answerBytesMax = 1 << 20

// sentinel ends, for who reads the channel, whatever was said before: no JSON has such a byte.
const sentinel = 0xff

// Error is the answer of an agent that refused a command.
type Error struct {
	Class       string `json:"class"`
	Description string `json:"desc"`
}

// Error returns the description alone: it is a sentence.
func (e *Error) Error() string { return e.Description }

// Call has the agent execute one command, with its arguments (nil for none), and puts what it returns into the value
// that result points to, unless that is nil. It ends with ctx, also while there is no agent, or somebody else has the
// channel. An *Error means that the agent refused; any other error leaves open what it did.
func Call(ctx context.Context, socket, command string, arguments, result any) error {
	return call(ctx, socket, func(s session) error {
		if err := s.sync(); err != nil {
			return err
		}
		return s.execute(command, arguments, result)
	}, command)
}

// CallBlind is Call of a command that does no harm whenever it is executed. It is said at once, and not only when the
// agent is known to be there: an agent that is busy, with what somebody asked for before, executes it when it gets that
// far, though nobody may be left to hear the answer.
func CallBlind(ctx context.Context, socket, command string, arguments, result any) error {
	return call(ctx, socket, func(s session) error {
		id, err := s.askSync()
		if err == nil {
			err = s.say(nil, request{command, arguments})
		}
		if err == nil {
			err = s.awaitSync(id)
		}
		if err != nil {
			return err
		}
		return s.answer(result)
	}, command)
}

// call has talk with the agent at a socket, about a command.
func call(ctx context.Context, socket string, talk func(session) error, command string) error {
	if err := connect(ctx, socket, talk); err != nil {
		return fmt.Errorf("guest agent at %s: %s: %w", socket, command, err)
	}
	return nil
}

func connect(ctx context.Context, socket string, talk func(session) error) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	// As long as nothing in the guest has the channel open, QEMU takes the connection and nobody reads.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	err = talk(session{in: bufio.NewReader(io.LimitReader(conn, answerBytesMax)), out: conn})
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

type session struct {
	in  *bufio.Reader
	out io.Writer
}

type request struct {
	Execute   string `json:"execute"`
	Arguments any    `json:"arguments,omitempty"`
}

type answer struct {
	Return json.RawMessage `json:"return"`
	Error  *Error          `json:"error"`
}

// say writes a request, as a line of its own.
func (s session) say(before []byte, r request) error {
	text, err := json.Marshal(r)
	if err == nil {
		_, err = s.out.Write(append(append(before, text...), '\n'))
	}
	return err
}

// sync reads on until the agent answers this very call.
func (s session) sync() error {
	id, err := s.askSync()
	if err != nil {
		return err
	}
	return s.awaitSync(id)
}

// askSync asks the agent to say a number. The first byte ends what an earlier one may have begun to say.
func (s session) askSync() (id int64, err error) {
	id = rand.Int64N(1 << 53) // as much as any JSON reader keeps
	return id, s.say([]byte{sentinel}, request{"guest-sync-delimited", map[string]any{"id": id}})
}

// awaitSync reads on until the agent says the number.
func (s session) awaitSync(id int64) error {
	var err error
	for err == nil {
		if _, err = s.in.ReadBytes(sentinel); err != nil {
			break
		}
		var line []byte
		if line, err = s.in.ReadBytes('\n'); err != nil {
			break
		}
		var a answer
		var got int64
		if json.Unmarshal(line, &a) == nil && json.Unmarshal(a.Return, &got) == nil && got == id {
			return nil
		}
	}
	return fmt.Errorf("it does not answer: %w", err)
}

func (s session) execute(command string, arguments, result any) error {
	if err := s.say(nil, request{command, arguments}); err != nil {
		return err
	}
	return s.answer(result)
}

// answer reads what the agent answers to a command.
func (s session) answer(result any) error {
	line, err := s.in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return err
	}
	switch {
	case a.Error != nil:
		return a.Error
	case a.Return == nil:
		return errors.New("an answer is neither a return nor an error")
	case result == nil:
		return nil
	}
	return json.Unmarshal(a.Return, result)
}
