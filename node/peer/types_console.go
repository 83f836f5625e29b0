package peer

import (
	"net/url"

	"github.com/holdfast-storage/holdfast/api"
)

// ConsoleQuery says who wants the console of which domain.
type ConsoleQuery struct {
	Domain  string
	Session string
	User    string // in words
	Take    bool
}

// Values returns the query.
func (q ConsoleQuery) Values() url.Values {
	v := url.Values{"domain": {q.Domain}, "session": {q.Session}, "user": {q.User}}
	if q.Take {
		v.Set("take", "true")
	}
	return v
}

// ParseConsoleQuery is the reverse of Values.
func ParseConsoleQuery(v url.Values) ConsoleQuery {
	return ConsoleQuery{Domain: v.Get("domain"), Session: v.Get("session"), User: v.Get("user"),
		Take: v.Get("take") == "true"}
}

// Typed is the answer to what was typed.
type Typed struct {
	Error *api.Error `json:"error,omitempty"` // why it was not
}
