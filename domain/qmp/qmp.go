// Package qmp speaks QMP, the protocol by which a QEMU process is managed, over a unix socket.
//
//	connect ── greeting ──▶ qmp_capabilities ──▶ one command ── answer ──▶ close
//
// Each command has a connection of its own, so that nothing has to be kept over a restart of the daemon. QEMU serves
// one connection of a monitor at a time; others wait. Events are passed over.
package qmp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// answerBytesMax bounds what is read for one command: what the commands of this program answer is far smaller.
const answerBytesMax = 1 << 20

// Error is the answer of a QEMU that refused a command.
type Error struct {
	Class       string `json:"class"`
	Description string `json:"desc"`
}

// Error returns the description alone: it is a sentence.
func (e *Error) Error() string { return e.Description }

// Call has QEMU execute one command, with its arguments (nil for none), and puts what it returns into the value that
// result points to, unless that is nil. It ends with ctx. An *Error means that QEMU refused; any other error leaves
// open what QEMU did.
func Call(ctx context.Context, socket, command string, arguments, result any) error {
	if err := call(ctx, socket, command, arguments, result); err != nil {
		return fmt.Errorf("QEMU at %s: %s: %w", socket, command, err)
	}
	return nil
}

func call(ctx context.Context, socket, command string, arguments, result any) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	// A QEMU that is stopped takes the connection but never answers.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	s := session{decoder: json.NewDecoder(io.LimitReader(conn, answerBytesMax)), encoder: json.NewEncoder(conn)}
	err = s.greet()
	if err == nil {
		err = s.execute("qmp_capabilities", nil, nil)
	}
	if err == nil {
		err = s.execute(command, arguments, result)
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

type session struct {
	decoder *json.Decoder
	encoder *json.Encoder
}

func (s session) greet() error {
	var greeting struct {
		QMP json.RawMessage `json:"QMP"`
	}
	if err := s.decoder.Decode(&greeting); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if greeting.QMP == nil {
		return errors.New("whoever answers is no QEMU")
	}
	return nil
}

// request is one command on the wire.
type request struct {
	Execute   string `json:"execute"`
	Arguments any    `json:"arguments,omitempty"`
}

// answer is anything that QEMU says after its greeting.
type answer struct {
	Return json.RawMessage `json:"return"`
	Error  *Error          `json:"error"`
	Event  string          `json:"event"`
}

func (s session) execute(command string, arguments, result any) error {
	if err := s.encoder.Encode(request{command, arguments}); err != nil {
		return err
	}
	for {
		var a answer
		if err := s.decoder.Decode(&a); err != nil {
			return err
		}
		switch {
		case a.Error != nil:
			return a.Error
		case a.Event != "":
		case a.Return == nil:
			return errors.New("an answer is neither a return, an error nor an event")
		case result == nil:
			return nil
		default:
			return json.Unmarshal(a.Return, result)
		}
	}
}
