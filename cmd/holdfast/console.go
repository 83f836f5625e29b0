package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/holdfast-storage/holdfast/api"
	"github.com/holdfast-storage/holdfast/volume"
)

// leaveKey is Ctrl-], by which a console is left.
const leaveKey = 0x1d

func domainConsole(c *connection) *cobra.Command {
	var take bool
	cmd := &cobra.Command{
		Use: "console NAME", Short: "Sit at a guest's console",
		Long: "Show what a guest writes to its first serial line, and have it read what you type, from wherever\n" +
			"you are; Ctrl-] leaves. The console follows the guest to other hosts. It is for one user at a time:\n" +
			"who has it is named, and --take sends them away. Guests of the driver exec have none.",
		Example: "  holdfast domain console web1",
		Args:    args(cobra.ExactArgs(1)),
	}
	cmd.Flags().BoolVar(&take, "take", false, "send away whoever has it")
	cmd.RunE = func(cmd *cobra.Command, list []string) error {
		client, err := c.client()
		if err != nil {
			return err
		}
		defer client.Close()
		s := seat{client: client, domain: list[0],
			request: api.OpenConsole{Session: volume.NewUUID().String(), Take: take},
			in:      cmd.InOrStdin(), out: cmd.OutOrStdout(), notes: cmd.ErrOrStderr()}
		if file, ok := s.in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
			s.terminal = func() (func(), error) { return takeTerminal(int(file.Fd()), s.notes) }
		}
		return s.sit(cmd.Context())
	}
	return cmd
}

// takeTerminal hands a terminal over: every key is read as it is, and no line is made of them. The function that it
// returns takes it back.
func takeTerminal(fd int, notes io.Writer) (giveBack func(), err error) {
	before, err := term.MakeRaw(fd)
	if err != nil {
		return nil, fmt.Errorf("the terminal cannot be given to the guest: %w", err)
	}
	return func() {
		_ = term.Restore(fd, before) // it could be set, so it can be set back
		fmt.Fprintln(notes)
	}, nil
}

// consoleClient is what a seat needs of api.Client.
type consoleClient interface {
	Console(ctx context.Context, name string, r api.OpenConsole, each func(api.ConsoleOutput) error) error
	TypeConsole(ctx context.Context, name string, r api.TypeConsole) error
}

// seat is a place at a guest's console.
type seat struct {
	client  consoleClient
	domain  string
	request api.OpenConsole
	in      io.Reader
	out     io.Writer
	notes   io.Writer // of what is not the guest's
	// terminal has the user's terminal read every key for the guest, until what it returns is called; nil if what is
	// typed comes from no terminal.
	terminal func() (giveBack func(), err error)
}

// errLeft ends a seat by its own user's wish.
var errLeft = errors.New("left")

// sit stays at the console until its user leaves, which is no error.
func (s seat) sit(ctx context.Context) error {
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	types := false
	giveBack := func() {}
	defer func() { giveBack() }()
	err := s.client.Console(ctx, s.domain, s.request, func(out api.ConsoleOutput) error {
		begins := out.Host != "" && !types // not before: a guest that does not listen yet would miss what is typed,
		if begins && s.terminal != nil {   // and the keys that end this command have to work until then
			back, err := s.terminal()
			if err != nil {
				return err
			}
			giveBack = back
		}
		if out.Host != "" {
			s.note("the console of %s on %s; Ctrl-] leaves it", s.domain, out.Host)
		}
		if begins {
			types = true
			go s.typeOn(ctx, leave) // it may wait for a key for ever: it ends with the process
		}
		_, err := s.out.Write(out.Data)
		return err
	})
	if errors.Is(context.Cause(ctx), errLeft) {
		return nil
	}
	return err
}

// typeOn hands on what is typed, until the key to leave or the end.
func (s seat) typeOn(ctx context.Context, leave context.CancelCauseFunc) {
	at := uint64(0)
	for keys := make([]byte, 4096); ; {
		n, err := s.in.Read(keys)
		typed, _, leaves := bytes.Cut(keys[:n], []byte{leaveKey})
		if len(typed) > 0 {
			failed := s.client.TypeConsole(ctx, s.domain,
				api.TypeConsole{Session: s.request.Session, At: at, Data: typed})
			at += uint64(len(typed))
			if failed != nil && ctx.Err() == nil {
				s.note("what you typed may be lost: %v", failed)
			}
		}
		if leaves {
			leave(errLeft)
			return
		}
		if err != nil || ctx.Err() != nil {
			return // the guest's words are shown until the console ends
		}
	}
}

// note says something between the guest's words. In a terminal that is the guest's a line needs both ends.
func (s seat) note(format string, a ...any) {
	fmt.Fprintf(s.notes, "\r\nholdfast: "+format+"\r\n", a...)
}
