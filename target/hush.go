package target

import (
	"log/slog"
	"sync"
	"time"
)

const (
	// strangerLines is how many lines about peers that have proved nothing are logged at once, and strangerPause after
	// which time there may be one more. Whoever reaches the port can cause them as fast as he likes.
	strangerLines = 20
	strangerPause = time.Second
)

// strangers bounds what is logged of peers that have proved nothing. The zero value is ready.
type strangers struct {
	mu      sync.Mutex
	used    int       // lines that have not been forgotten yet
	since   time.Time // up to when they were forgotten
	leftOut int       // lines since the last that was logged
}

// may reports whether there may be a line now, and how many were left out before it.
func (s *strangers) may(now time.Time) (leftOut int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := int(now.Sub(s.since) / strangerPause); n >= s.used {
		s.used, s.since = 0, now
	} else if n > 0 {
		s.used -= n
		s.since = s.since.Add(time.Duration(n) * strangerPause)
	}
	if s.used == strangerLines {
		s.leftOut++
		return 0, false
	}
	s.used++
	leftOut, s.leftOut = s.leftOut, 0
	return leftOut, true
}

// sayStranger logs a line about a peer that has proved nothing, unless there were too many of late.
func (s *Server) sayStranger(log *slog.Logger, line string, args ...any) {
	leftOut, ok := s.strangers.may(time.Now())
	if !ok {
		return
	}
	if leftOut > 0 {
		args = append(args, "left_out_before", leftOut)
	}
	log.Info(line, args...)
}
