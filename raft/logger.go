package raft

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/hashicorp/go-hclog"
)

type hcLogger = hclog.Logger

// newHclog returns a logger for hashicorp/raft that writes to an slog logger.
func newHclog(log *slog.Logger) hcLogger {
	logger := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Off})
	logger.RegisterSink(&slogSink{log})
	return logger
}

// slogSink passes raft's own messages on. Its warnings and errors are about peers that do not answer
// and elections, which are expected when nodes die: they become warnings. All else is for debugging,
// since Info is for the state transitions that the Coordinator reports itself.
type slogSink struct{ log *slog.Logger }

// Accept writes one message. It implements hclog.SinkAdapter.
func (s *slogSink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	if level >= hclog.Warn {
		to = slog.LevelWarn
	}
	if !s.log.Enabled(context.Background(), to) {
		return
	}
	args = slices.Clone(args)
	for i, arg := range args {
		if format, ok := arg.(hclog.Format); ok && len(format) > 0 {
			args[i] = fmt.Sprintf(fmt.Sprint(format[0]), format[1:]...)
		}
	}
	s.log.Log(context.Background(), to, "raft: "+msg, args...)
}
