package devnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// KeepIn lets the switch remember in a file what its links do, so that one whose process was killed is followed by one
// that does the same: what stands there counts from now on, and every later change is written to it. It is for a new
// switch. A file that is not there says that every link is open; a damaged one is an error.
func (s *Switch) KeepIn(file string) error {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	text, err := os.ReadFile(file)
	var links []Link
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("network: what was cut: %w", err)
	default:
		if err := json.Unmarshal(text, &links); err != nil {
			return fmt.Errorf("network: %s is damaged, remove it to begin with open links: %w", file, err)
		}
	}
	for _, l := range links {
		if err := s.apply(l.From, l.To, l.Rules); err != nil {
			return fmt.Errorf("network: %s is damaged, remove it to begin with open links: %w", file, err)
		}
	}
	s.file = file
	return nil
}

// keep writes what the links do. It need not survive the machine, whose nodes do not either. The caller holds keeping.
func (s *Switch) keep() error {
	if s.file == "" {
		return nil
	}
	_, links := s.Show()
	text, err := json.Marshal(links)
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	fresh := s.file + ".new"
	if err := os.WriteFile(fresh, text, 0o600); err != nil {
		return fmt.Errorf("network: it is so, but not remembered: %w", err)
	}
	if err := os.Rename(fresh, s.file); err != nil {
		return fmt.Errorf("network: it is so, but not remembered: %w", err)
	}
	return nil
}
