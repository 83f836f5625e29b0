package api

import (
	"context"
	"net/http"
	"net/url"
)

// Console calls each for what a guest writes to its console, until the console ends, which is an error that says why,
// or ctx ends, or each fails.
func (c *Client) Console(ctx context.Context, name string, r OpenConsole, each func(ConsoleOutput) error) error {
	query := url.Values{"session": {r.Session}}
	if r.Take {
		query.Set("take", "true")
	}
	return c.do(ctx, call{
		method: http.MethodGet, path: objectPath("domains", name, "console"), query: query,
		read: lines(func(out ConsoleOutput) error {
			if out.Error != nil {
				return out.Error
			}
			return each(out)
		}),
	})
}

// TypeConsole types on the console of a guest.
func (c *Client) TypeConsole(ctx context.Context, name string, r TypeConsole) error {
	return c.do(ctx, call{method: http.MethodPost, path: objectPath("domains", name, "console"), body: r})
}
