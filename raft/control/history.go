package control

import "time"

// History remembers since when a finding holds, by object and kind. The leader tells it to the other
// coordinators, so that a new leader goes on with it.
type History map[string]time.Time

// key names a finding in a History.
func (f *Finding) key() string { return f.Object + " " + f.Kind }

// Stamp sets the Since of every finding that does not say it itself and, with forget, drops those that hold
// no more. Who has just begun to lead does not forget: it has not heard everything yet. Stamp reports
// whether the history is another one now.
func (h History) Stamp(findings []Finding, now time.Time, forget bool) (changed bool) {
	seen := make(map[string]bool, len(findings))
	for i := range findings {
		f := &findings[i]
		key := f.key()
		seen[key] = true
		if _, ok := h[key]; !ok {
			h[key] = now
			if !f.Since.IsZero() {
				h[key] = f.Since
			}
			changed = true
		}
		if f.Since.IsZero() {
			f.Since = h[key]
		}
	}
	for key := range h {
		if forget && !seen[key] {
			delete(h, key)
			changed = true
		}
	}
	return changed
}
