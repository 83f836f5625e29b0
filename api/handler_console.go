package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// consoles registers what somebody at the console of a guest needs: a stream of what it writes, and a call for what is
// typed. So a console goes wherever events and calls go.
func (r routes) consoles() {
	type open struct {
		Name    string `path:"name" doc:"name of the domain"`
		Session string `query:"session" required:"true" minLength:"1" maxLength:"64" doc:"a fresh UUID"`
		Take    bool   `query:"take" doc:"send away whoever has it"`
	}
	opening := r.op("open-console", http.MethodGet, "/v1/domains/{name}/console",
		"What a guest writes to its console, one JSON object a line; for one user at a time", "domains")
	streamed[ConsoleOutput](r.api, &opening)
	huma.Register(r.api, opening, func(ctx context.Context, in *open) (*huma.StreamResponse, error) {
		return stream(func(emit func(ConsoleOutput) error) error {
			return r.service.Console(ctx, in.Name, OpenConsole{Session: in.Session, Take: in.Take}, emit)
		}, func(e *Error) ConsoleOutput { return ConsoleOutput{Error: e} }), nil
	})
	type typed struct {
		Name string `path:"name" doc:"name of the domain"`
		Body TypeConsole
	}
	huma.Register(r.api, r.op("type-console", http.MethodPost, "/v1/domains/{name}/console",
		"Type on the console of a guest", "domains"),
		func(ctx context.Context, in *typed) (*nothing, error) {
			if len(in.Body.Data) > TypeMax {
				return nil, Errorf(CodeInvalid, "domain/"+in.Name, "send it in parts",
					"%d bytes are typed at once: %d at most", len(in.Body.Data), TypeMax)
			}
			return done(r.service.TypeConsole(ctx, in.Name, in.Body))
		})
}
